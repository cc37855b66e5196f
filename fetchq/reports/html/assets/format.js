// Formats values for people, and makes elements. Texts are only ever set as text, so nothing in them is markup.
"use strict";

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });

function seconds(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 99.95) return `${number.format(Math.round(value))} s`;
  if (size >= 9.995) return `${value.toFixed(1)} s`;
  if (size >= 0.9995) return `${value.toFixed(2)} s`;
  if (size >= 0.00995) return `${(value * 1000).toFixed(0)} ms`;
  if (size >= 0.00001) return `${(value * 1000).toFixed(2)} ms`;
  return `${(value * 1e6).toFixed(1)} µs`;
}

function bytes(value) {
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 999.5) return `${unit === "B" || value >= 99.5 ? value.toFixed(0) : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

// By the unit of a column or a chart.
const formats = {
  seconds,
  bytes,
  "bytes per second": (value) => `${bytes(value)}/s`,
  share: (value) => `${(100 * value).toFixed(1)} %`,
  count: (value) => number.format(value),
  status: (value) => String(value),
};

function shown(value, unit) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return (formats[unit] || ((one) => number.format(one)))(value);
  return String(value);
}

// A time on an axis, or from one to another.
function axisTime(value) {
  return Number.isInteger(value) ? `${value} s` : seconds(value);
}

// make("p", {class: "note"}, "text", child, ...)
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick" || name === "oninput" || name === "ontoggle") element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child !== null) element.append(child); // a string is appended as text
  return element;
}

function button(text, title, onclick) {
  return make("button", { type: "button", "aria-label": title, title, onclick }, text);
}

function cssColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const spare = ["c-lag", "c-wait", "c-dns", "c-receive", "c-tls", "c-decode", "c-connect", "c-held", "c-store", "c-own"];

// The colour of a series: its own, or the next spare one.
function colour(name, at = 0) {
  return (name && cssColour(`c-${name}`)) || cssColour(spare[at % spare.length]);
}

function key(name, at) {
  const element = make("span", { class: "key", "aria-hidden": "true" });
  element.style.background = colour(name, at);
  element.recolour = () => { element.style.background = colour(name, at); };
  recoloured.push(element.recolour);
  return element;
}

// What to call when the theme has changed.
const recoloured = [];
