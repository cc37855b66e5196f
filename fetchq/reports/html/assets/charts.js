// Charts: each has a description, keys of its colours, and a table of its data.
"use strict";

const charts = [];
const timeGroup = "time"; // charts over time are zoomed together

const font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"; // a canvas inherits none

function textStyle() {
  return { color: cssColour("quiet"), fontSize: 12, fontFamily: font };
}

function axisStyle() {
  const line = { lineStyle: { color: cssColour("line") } };
  return { axisLabel: { ...textStyle(), hideOverlap: true }, axisLine: line, axisTick: line, splitLine: line };
}

// A tooltip whose lines are elements: ECharts would read texts as HTML.
function tooltip(linesOf) {
  return {
    trigger: "axis", confine: true, transitionDuration: 0, padding: 0, borderWidth: 0, backgroundColor: "transparent",
    axisPointer: { type: "line", lineStyle: { color: cssColour("quiet") }, shadowStyle: { opacity: 0.15 } },
    formatter: (found) => {
      const box = make("div", { class: "tip" });
      box.style.position = "static";
      box.style.maxWidth = "none";
      box.textContent = linesOf(found).join("\n");
      return box;
    },
  };
}

// Draws a chart into a block: `options()` is called anew for each theme.
function figure(block, height, description, options, names, extra = []) {
  const place = make("div", { class: "chart", role: "img", "aria-label": `${block.title}: ${description}` });
  place.style.height = `${height}px`;
  const keys = names.length > 1 || names[0]?.always
    ? make("ul", { class: "keys" }, ...names.map((one, at) => make("li", {}, key(one.colour, at), one.name))) : null;
  const element = make("div", { class: "block" }, make("div", { class: "bar" }, make("h3", {}, block.title),
    make("div", { class: "tools" })), place, keys, ...extra);
  const one = { element, place, options, chart: null };
  one.draw = () => {
    if (!one.chart) one.chart = echarts.init(place, null, { renderer: "canvas" });
    one.chart.setOption(options(), { notMerge: true });
  };
  charts.push(one);
  return one;
}

function drawShare(block) {
  const whole = block.parts.reduce((sum, part) => sum + part[1], 0) || 1;
  const parts = [...block.parts].sort((a, b) => b[1] - a[1]);
  const options = () => ({
    animation: false,
    grid: { left: 0, right: 0, top: 4, bottom: 4 },
    xAxis: { type: "value", max: whole, show: false },
    yAxis: { type: "category", data: [""], show: false },
    series: parts.map(([name, value], at) => ({
      type: "bar", stack: "whole", data: [value], barWidth: "100%", silent: true,
      itemStyle: { color: colour(name, at), borderColor: cssColour("page"), borderWidth: 1 },
      label: {
        show: value / whole > 0.07, color: "#fff", fontWeight: 600, fontSize: 12, fontFamily: font,
        textBorderColor: "#000a", textBorderWidth: 2.5, formatter: () => `${name} ${Math.round(100 * value / whole)} %`,
      },
    })),
  });
  const text = parts.slice(0, 3).map(([name, value]) => `${name} ${(100 * value / whole).toFixed(0)} %`).join(", ");
  const one = figure(block, 46, text, options, []);
  const rows = parts.map(([name, value, meaning]) => [name, value, value / whole, meaning]);
  const table = make("table", {}, make("caption", { class: "unseen" }, block.title),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Part"), make("th", { scope: "col", class: "number" }, "Time"),
      make("th", { scope: "col", class: "number" }, "Share"), make("th", { scope: "col" }, "Meaning"))),
    make("tbody", {}, ...rows.map(([name, value, share, meaning], at) => make("tr", {},
      make("td", { class: "part" }, key(name, at), ` ${name}`), make("td", { class: "number" }, shown(value, block.unit)),
      make("td", { class: "number" }, shown(share, "share")), make("td", { class: "text" }, meaning)))));
  one.element.append(make("div", { class: "scroll", role: "region", "aria-label": block.title, tabindex: "0" }, table));
  return one.element;
}

function timeGrid(page, top, bottom) {
  return { left: 76, right: page.right, top, bottom, outerBoundsMode: "none" }; // so that all axes are aligned
}

function timeAxis(end) {
  return { type: "value", min: 0, max: end, ...axisStyle(), splitLine: { show: false },
    axisLabel: { ...textStyle(), hideOverlap: true, alignMaxLabel: "right", formatter: axisTime } };
}

function timeZoom(more) {
  return { id: "when", type: "inside", xAxisIndex: 0, filterMode: "none", ...more };
}

function drawLines(block, page) {
  const format = (value) => shown(value, block.unit === "bytes per second" ? block.unit : "rate");
  const times = block.series[0]?.values.map((_, at) => block.start + at * block.step) || [];
  const options = () => ({
    animation: false,
    grid: timeGrid(page, 12, 26),
    tooltip: tooltip((found) => [`from ${axisTime(found[0].value[0])}`, ...found.filter((one) => one.value[1])
      .map((one) => `${one.seriesName}: ${format(one.value[1])}`)]),
    xAxis: timeAxis(page.end),
    yAxis: { type: "value", ...axisStyle(), axisLabel: { ...textStyle(), formatter: format } },
    dataZoom: [timeZoom({ disabled: true })],
    series: block.series.map((one, at) => ({
      name: one.name, type: "line", showSymbol: false, step: "end", stack: block.stacked ? "all" : undefined,
      data: [...one.values.map((value, number) => [times[number], value]), [times.at(-1) + block.step, one.values.at(-1)]],
      lineStyle: { width: block.stacked ? 0 : 1.5, color: colour(one.colour, at) }, itemStyle: { color: colour(one.colour, at) },
      areaStyle: { opacity: block.stacked ? 0.9 : 0.18, color: colour(one.colour, at) },
    })),
  });
  const sums = times.map((_, at) => block.series.reduce((sum, one) => sum + one.values[at], 0));
  const mean = sums.reduce((sum, value) => sum + value, 0) / (sums.length || 1);
  const text = `${block.unit}; on average ${format(mean)}, at most ${format(sums.reduce((a, b) => Math.max(a, b), 0))}`;
  const one = figure(block, 180, text, options, block.series, [
    dataTable(block.title, ["From", ...block.series.map((series) => series.name)], () => times.map((_, at) =>
      [seconds(block.start + at * block.step), ...block.series.map((series) => format(series.values[at]))]))]);
  one.group = timeGroup;
  return one.element;
}

function drawBars(block) {
  const options = () => ({
    animation: false,
    grid: { left: 76, right: 16, top: 12, bottom: 26, outerBoundsMode: "none" },
    tooltip: { ...tooltip((found) => [`${block.axis} ${found[0].axisValue}`,
      ...found.map((one) => `${one.seriesName}: ${number.format(one.value)} ${block.unit}`)]),
      axisPointer: { type: "shadow", shadowStyle: { opacity: 0.15 } } },
    xAxis: { type: "category", data: block.names, ...axisStyle(), splitLine: { show: false } },
    yAxis: { type: "value", minInterval: 1, ...axisStyle() },
    series: block.series.map((one, at) => ({
      name: one.name, type: "bar", data: one.values, barGap: "-100%", barCategoryGap: "8%",
      itemStyle: { color: colour(one.colour || "rows", at), opacity: at ? 0.65 : 0.9 },
    })),
  });
  const one = figure(block, 200, `${block.unit}, by ${block.axis}`, options,
    block.series.map((series) => ({ name: series.name, colour: series.colour || "rows" })), [
      dataTable(block.title, [block.axis, ...block.series.map((series) => series.name)], () =>
        block.names.map((name, at) => [name, ...block.series.map((series) => number.format(series.values[at]))]))]);
  return one.element;
}

function drawIntervals(block) {
  const format = (value) => shown(value, block.unit);
  const options = () => ({
    animation: false,
    grid: { left: 8, right: 24, top: 8, bottom: 26, containLabel: true },
    tooltip: tooltip((found) => [block.names[found[0].dataIndex], `${format(block.values[found[0].dataIndex])} (${
      format(block.low[found[0].dataIndex])} to ${format(block.high[found[0].dataIndex])})`]),
    xAxis: { type: "value", min: 0, ...axisStyle(), axisLabel: { ...textStyle(), hideOverlap: true, formatter: format } },
    yAxis: { type: "category", inverse: true, data: block.names, ...axisStyle(), splitLine: { show: false } },
    series: [
      { type: "bar", data: block.values, barMaxWidth: 22, itemStyle: { color: cssColour("c-wait") } },
      { type: "custom", data: block.names.map((_, at) => [block.low[at], block.high[at], at]), z: 3,
        encode: { x: [0, 1], y: 2 }, renderItem: whisker },
    ],
  });
  function whisker(params, api) {
    const [low, y] = api.coord([api.value(0), api.value(2)]);
    const [high] = api.coord([api.value(1), api.value(2)]);
    const style = { stroke: cssColour("text"), lineWidth: 2 };
    const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style });
    return { type: "group", children: [line(low, y, high, y), line(low, y - 5, low, y + 5), line(high, y - 5, high, y + 5)] };
  }
  const text = block.names.map((name, at) => `${name} ${format(block.values[at])}`).join(", ");
  const one = figure(block, 40 + 34 * block.names.length, text, options, [], [
    block.note ? make("p", { class: "note" }, block.note) : "",
    dataTable(block.title, ["", block.unit, "from", "to"], () => block.names.map((name, at) =>
      [name, format(block.values[at]), format(block.low[at]), format(block.high[at])]))]);
  return one.element;
}
