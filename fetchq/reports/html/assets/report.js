// Draws the sections of the page, and switches between the dark and the light theme.
"use strict";

const report = { sections: JSON.parse(document.getElementById("data").textContent), urls: new Map() };
const draw = {
  table: drawTable, share: drawShare, lines: drawLines, bars: drawBars, intervals: drawIntervals, timeline: drawTimeline,
};

function readUrls() {
  const tables = report.sections.flatMap((section) => section.blocks).filter((block) => block.kind === "table");
  for (const { columns, rows } of tables) {
    if (columns[0].title !== "Row" || columns[1].title !== "URL") continue;
    for (const row of rows) report.urls.set(row[0], row[1]);
  }
}

function endOf(block) {
  if (block.kind === "timeline") return block.end;
  return block.kind === "lines" && block.series.length ? block.start + block.step * block.series[0].values.length : 0;
}

function drawSections() {
  const contents = document.getElementById("contents");
  report.sections.forEach((section, at) => {
    const id = `section-${at}`;
    const timelines = section.blocks.filter((block) => block.kind === "timeline");
    const page = {
      end: Math.max(0, ...section.blocks.map(endOf)), // all charts over time in a section have one axis
      right: timelines.some((block) => block.lanes.length > manyLanes) ? 40 : 16,
    };
    contents.append(make("li", {}, make("a", { href: `#${id}` }, section.title)));
    document.getElementById("sections").append(make("section", { "aria-labelledby": id },
      make("h2", { id }, section.title),
      section.note ? make("p", { class: "note" }, section.note) : "",
      ...section.blocks.map((block) => draw[block.kind](block, page))));
  });
}

function drawCharts() {
  for (const one of charts) {
    one.draw();
    if (one.group && !one.chart.group) {
      one.chart.group = one.group;
      one.ready?.();
    }
  }
  echarts.connect(timeGroup);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const other = theme === "dark" ? "light" : "dark";
  const control = document.getElementById("theme");
  control.textContent = other === "dark" ? "Dark" : "Light";
  control.setAttribute("aria-label", `Switch to the ${other} theme`);
}

function changeTheme(theme) {
  setTheme(theme);
  for (const recolour of recoloured) recolour();
  drawCharts();
}

const preferred = matchMedia("(prefers-color-scheme: dark)");
setTheme(preferred.matches ? "dark" : "light");
readUrls();
drawSections();
drawCharts();

document.getElementById("theme").hidden = false;
document.getElementById("theme").addEventListener("click", () =>
  changeTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
preferred.addEventListener("change", () => changeTheme(preferred.matches ? "dark" : "light"));
addEventListener("resize", () => charts.forEach((one) => one.chart.resize()));

const widthOfPaper = 680; // pixels of CSS: A4 without its margins
let beforePrint = null;
addEventListener("beforeprint", () => {
  beforePrint = document.documentElement.dataset.theme;
  changeTheme("light");
  charts.forEach((one) => one.chart.resize({ width: widthOfPaper }));
});
addEventListener("afterprint", () => {
  changeTheme(beforePrint);
  charts.forEach((one) => one.chart.resize({ width: "auto" }));
});
