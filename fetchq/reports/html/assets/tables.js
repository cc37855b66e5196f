// Tables: each column can be sorted, and a long table can be searched and has pages.
"use strict";

const rowsOfPage = 25;
const searchedFrom = 11;
const numeric = new Set(["seconds", "bytes", "share", "count", "rate", "status"]);

function drawTable(block) {
  const { columns, rows } = block;
  const state = { order: rows, found: rows, sorted: -1, rising: true, page: 0 };
  const body = make("tbody");
  const said = make("span", { role: "status" });
  const heads = columns.map((column, at) =>
    make("th", { scope: "col", class: numeric.has(column.unit) ? "number" : undefined },
      make("button", { type: "button", onclick: () => sort(at) }, column.title)));
  const before = button("‹ Previous", `Previous rows of ${block.title}`, () => turn(-1));
  const after = button("Next ›", `Next rows of ${block.title}`, () => turn(1));
  const texts = rows.length < searchedFrom ? null : new Map();
  const table = make("table", {}, make("caption", { class: "unseen" }, block.title),
    make("thead", {}, make("tr", {}, ...heads)), body);

  function textOf(row) {
    let text = texts.get(row);
    if (text === undefined) {
      text = row.map((value, at) => shown(value, columns[at].unit)).join("\n").toLowerCase();
      texts.set(row, text);
    }
    return text;
  }

  function draw() {
    const first = state.page * rowsOfPage;
    const page = state.found.slice(first, first + rowsOfPage);
    body.replaceChildren(...page.map((row) => make("tr", {}, ...row.map((value, at) => {
      const { unit, title } = columns[at];
      const bad = value !== null && (title === "Cause" || title === "Error" || (title === "Failed" && value > 0));
      return make("td", { class: `${numeric.has(unit) ? "number" : unit}${bad ? " bad" : ""}` }, shown(value, unit));
    }))));
    const last = first + page.length;
    const all = state.found.length === rows.length ? "" : ` (of ${number.format(rows.length)})`;
    said.textContent = state.found.length === 0 ? "nothing found"
      : `${number.format(first + 1)}-${number.format(last)} of ${number.format(state.found.length)}${all}`;
    before.disabled = state.page === 0;
    after.disabled = last >= state.found.length;
  }

  function turn(by) {
    state.page += by;
    draw();
  }

  function search(text) {
    const wanted = text.trim().toLowerCase();
    state.found = wanted ? state.order.filter((row) => textOf(row).includes(wanted)) : state.order;
    state.page = 0;
    draw();
  }

  function sort(at) {
    // The first click on a number shows the largest first.
    state.rising = state.sorted === at ? !state.rising : !numeric.has(columns[at].unit);
    state.sorted = at;
    const sign = state.rising ? 1 : -1;
    state.order = [...rows].sort((one, other) => {
      const [a, b] = [one[at], other[at]];
      if (a === null || b === null) return (a === null) - (b === null); // what has no value comes last
      return sign * (a < b ? -1 : a > b ? 1 : 0);
    });
    heads.forEach((head, number) => {
      if (number === at) head.setAttribute("aria-sort", state.rising ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    search(input ? input.value : "");
  }

  let input = null;
  const tools = make("div", { class: "tools" });
  if (texts) {
    input = make("input", { type: "search", autocomplete: "off", oninput: () => search(input.value) });
    tools.append(make("label", {}, `Search`, make("span", { class: "unseen" }, ` in ${block.title}`), input));
  }
  if (rows.length > rowsOfPage) tools.append(before, after);
  if (texts) tools.append(said);
  draw();
  return make("div", { class: `block${rows.length > 12 ? " long" : ""}` },
    make("div", { class: "bar" }, make("h3", {}, block.title), tools),
    make("div", { class: "scroll", role: "region", "aria-label": block.title, tabindex: "0" }, table),
    block.note ? make("p", { class: "note" }, block.note) : null);
}

// A plain table of a chart's data, made when somebody opens it.
function dataTable(title, heads, rowsOf) {
  const place = make("div", { class: "scroll", role: "region", "aria-label": `Data of ${title}`, tabindex: "0" });
  return make("details", {
    ontoggle: () => {
      if (place.firstChild) return;
      place.append(make("table", {}, make("caption", { class: "unseen" }, `Data of ${title}`),
        make("thead", {}, make("tr", {}, ...heads.map((head, at) =>
          make("th", { scope: "col", class: at ? "number" : undefined }, head)))),
        make("tbody", {}, ...rowsOf().map((row) => make("tr", {}, ...row.map((value, at) =>
          at ? make("td", { class: "number" }, value) : make("th", { scope: "row" }, value)))))));
    },
  }, make("summary", {}, "Show as a table", make("span", { class: "unseen" }, `: ${title}`)), place);
}
