// The timeline: a lane for each worker, with its phases in colour; zoomed by keys, buttons, slider, or Ctrl and wheel.
"use strict";

const manyLanes = 30; // from here on, workers can be zoomed, too
const thickLane = 9; // pixels
const shades = 4; // of a phase, by how busy the workers were

// All rectangles of a phase are one shape, since an element for each of them would be slow.
echarts.graphic.registerShape("rectangles", echarts.graphic.extendShape({
  type: "rectangles",
  shape: { rectangles: [] },
  buildPath(context, shape) {
    const found = shape.rectangles;
    for (let at = 0; at < found.length; at += 4) context.rect(found[at], found[at + 1], found[at + 2], found[at + 3]);
  },
}));

// What a lane did, from the rows themselves: find(lane, from, to, pixels) yields the phase, its begin
// and end, its bottom and top in the lane (0 to 1), and its shade.
function exactLanes(block) {
  const lanes = block.lanes.map(() => []);
  for (const row of block.rows) lanes[row[1]].push(row);
  for (const lane of lanes) lane.sort((one, other) => one[2] - other[2]);
  return {
    lanes,
    * find(lane, from, to) {
      for (const [, , began, spent] of lanes[lane]) {
        let at = began;
        for (let phase = 0; phase < spent.length; phase++) {
          const end = at + spent[phase];
          if (end > at && end >= from && at <= to) yield [phase, at, end, 0, 1, shades - 1];
          at = end;
        }
      }
    },
    describe(lane, when, slack) {
      let best = null;
      for (const row of lanes[lane]) {
        const end = row[2] + row[3].reduce((sum, one) => sum + one, 0);
        if (when >= row[2] - slack && when <= end + slack) best = [row, end];
      }
      if (best === null) return ["idle"];
      const [[index, , began, spent], end] = best;
      const url = report.urls.get(index);
      return [`Row ${index}${url ? `: ${url}` : ""}`, `${seconds(end - began)}, from ${seconds(began)}`,
        ...block.phases.map((name, at) => spent[at] ? `${name} ${seconds(spent[at])}` : null).filter(Boolean)];
    },
    totals(lane) {
      return block.phases.map((_, at) => lanes[lane].reduce((sum, row) => sum + row[3][at], 0));
    },
  };
}

// The same, from the shares of the phases in bins; several bins are one where they would be narrower than some pixels.
// In a thick lane a colour is as high as its share of the time. In a thin one only the longest phase is shown.
function binnedLanes(block) {
  const text = atob(block.cells);
  const cells = Uint8Array.from(text, (sign) => sign.charCodeAt(0));
  const width = block.phases.length;
  const shares = (lane, first, last) => {
    const sums = new Float64Array(width);
    for (let bin = first; bin < last; bin++) {
      const at = (lane * block.bins + bin) * width;
      for (let phase = 0; phase < width; phase++) sums[phase] += cells[at + phase];
    }
    return sums.map((sum) => sum / 255 / (last - first));
  };
  const binOf = (when) => Math.min(block.bins - 1, Math.max(0, Math.floor((when - block.start) / block.step)));
  return {
    * find(lane, from, to, pixels, thick) {
      const first = binOf(from), last = binOf(to) + 1;
      const together = Math.max(1, Math.ceil(2 * (to - from) / block.step / pixels));
      for (let bin = first - first % together; bin < last; bin += together) {
        const until = Math.min(bin + together, block.bins);
        const begin = block.start + bin * block.step, end = block.start + until * block.step;
        const found = shares(lane, bin, until);
        const busy = found.reduce((sum, one) => sum + one, 0);
        if (!busy) continue;
        if (thick < thickLane) {
          let longest = 0;
          for (let phase = 1; phase < width; phase++) if (found[phase] > found[longest]) longest = phase;
          yield [longest, begin, end, 0, 1, Math.min(shades, Math.ceil(busy * shades)) - 1];
          continue;
        }
        let height = 0;
        for (let phase = 0; phase < width; phase++) {
          const share = found[phase] / Math.max(1, busy);
          if (share) yield [phase, begin, end, height, height += share, shades - 1];
        }
      }
    },
    describe(lane, when) {
      const bin = binOf(when), found = shares(lane, bin, bin + 1);
      const idle = Math.max(0, 1 - found.reduce((sum, one) => sum + one, 0));
      const from = block.start + bin * block.step;
      return [`${seconds(from)} to ${seconds(from + block.step)}`,
        ...block.phases.map((name, at) => found[at] >= 0.005 ? `${name} ${(100 * found[at]).toFixed(0)} %` : null).filter(Boolean),
        ...(idle >= 0.005 ? [`idle ${(100 * idle).toFixed(0)} %`] : [])];
    },
    totals(lane) {
      return [...shares(lane, 0, block.bins)].map((share) => share * block.bins * block.step);
    },
  };
}

function drawTimeline(block, page) {
  const lanes = block.rows.length || !block.cells ? exactLanes(block) : binnedLanes(block);
  const count = block.lanes.length;
  const height = Math.max(120, Math.min(520, count * 16)) + 92;
  const used = block.phases.map((name, at) => ({ name, at, colour: name }))
    .filter(({ at }) => block.lanes.some((_, lane) => lanes.totals(lane)[at] > 0));

  // The rectangles of every phase and shade, computed once for each view.
  let view = "", rectangles = [];
  function rectanglesOf(phase, shade, params, api) {
    const { x, y, width, height: tall } = params.coordSys;
    const perSecond = api.size([1, 0])[0], lane = api.size([0, 1])[1];
    const [zero, top] = api.coord([0, 0]);
    const now = [x, y, width, tall, perSecond, lane, zero, top].join();
    if (now !== view) {
      view = now;
      rectangles = block.phases.map(() => Array.from({ length: shades }, () => []));
      const from = (x - zero) / perSecond, to = (x + width - zero) / perSecond;
      const thick = lane < thickLane ? lane : lane * 0.84;
      for (let number = 0; number < count; number++) {
        const bottom = top + number * lane + thick / 2;
        if (bottom < y || bottom - lane > y + tall) continue;
        for (const [what, begin, end, low, high, which] of lanes.find(number, from, to, width, lane)) {
          const left = Math.max(x, zero + begin * perSecond), right = Math.min(x + width, zero + end * perSecond);
          if (right > left) {
            rectangles[what][which].push(left, bottom - high * thick, Math.max(right - left, 0.5), (high - low) * thick);
          }
        }
      }
    }
    return rectangles[phase][shade];
  }

  const options = () => {
    view = "";
    const lane = count > manyLanes ? [{
      id: "workers", type: "slider", yAxisIndex: 0, right: 6, width: 18, filterMode: "none", brushSelect: false, ...sliderStyle(),
    }] : [];
    return {
      animation: false,
      grid: timeGrid(page, 8, 74),
      xAxis: timeAxis(page.end),
      yAxis: { type: "category", inverse: true, data: block.lanes, name: laneName(block, ""), ...axisStyle(), nameTextStyle: textStyle(),
        nameLocation: "middle", nameGap: 54, splitLine: { show: false }, axisTick: { show: false } },
      dataZoom: [
        timeZoom({ zoomOnMouseWheel: "ctrl", moveOnMouseMove: true, moveOnMouseWheel: false, preventDefaultMouseMove: false }),
        { id: "slider", type: "slider", xAxisIndex: 0, bottom: 8, height: 22, filterMode: "none", brushSelect: false, ...sliderStyle() },
        ...lane,
      ],
      series: used.map(({ name, at }) => ({
        name, type: "custom", clip: true, silent: true, encode: { x: 0, y: 1 }, data: Array.from({ length: shades }, () => [0, 0]),
        renderItem: (params, api) => ({
          type: "rectangles", shape: { rectangles: rectanglesOf(at, params.dataIndex, params, api) },
          style: { fill: colour(name), opacity: (params.dataIndex + 1) / shades },
        }),
        markLine: name === used[0].name && block.breaks.length ? {
          silent: true, symbol: "none", label: { show: false }, lineStyle: { color: cssColour("text"), type: "dashed" },
          data: block.breaks.map((when) => ({ xAxis: when })),
        } : undefined,
      })),
    };
  };
  const text = `${count} ${block.lanes.some((name) => name.includes("-")) ? "groups of workers" : "workers"} over ${
    seconds(page.end)}, with the phases ${used.map((one) => one.name).join(", ")}. The table below has the time of each.`;
  const one = figure(block, height, text, options, used.map((phase) => ({ ...phase, always: true })), [
    block.rows.length || !block.cells ? "" : make("p", { class: "note" },
      `Drawn from the share of each phase in ${seconds(block.step)}: the height of a colour is its share. Where lanes are thin, ` +
      "the colour is that of the longest phase, and the paler, the more of the time was idle."),
    dataTable(block.title, ["Worker", ...used.map((phase) => phase.name)], () => block.lanes.map((name, lane) => {
      const totals = lanes.totals(lane);
      return [name, ...used.map(({ at }) => seconds(totals[at]))];
    }))]);
  one.group = timeGroup;
  one.ready = () => hover(one, block, lanes);
  one.element.querySelector(".tools").append(...zoomButtons(one));
  return one.element;
}

// The name of a lane that is a number, or "Worker" alone for the axis; others have names of their own.
function laneName(block, lane) {
  return /^\d/.test(block.lanes[0]) ? `Worker ${lane}`.trim() : lane;
}

function sliderStyle() {
  return { borderColor: cssColour("line"), fillerColor: "rgb(125 150 180 / 22%)", backgroundColor: "transparent",
    handleStyle: { color: cssColour("panel"), borderColor: cssColour("quiet") }, moveHandleStyle: { color: cssColour("quiet") },
    textStyle: textStyle(), showDetail: false, showDataShadow: false, emphasis: { handleStyle: { borderColor: cssColour("accent") } } };
}

function zoomButtons(one) {
  const zoom = (change) => () => {
    const { start, end } = one.chart.getOption().dataZoom[0];
    let [from, to] = change(start, end);
    const width = Math.min(100, to - from);
    from = Math.min(Math.max(0, from), 100 - width);
    one.chart.dispatchAction({ type: "dataZoom", dataZoomIndex: 0, start: from, end: from + width });
  };
  return [
    button("+", "Zoom in", zoom((from, to) => [from + (to - from) / 4, to - (to - from) / 4])),
    button("−", "Zoom out", zoom((from, to) => [from - (to - from) / 2, to + (to - from) / 2])),
    button("←", "Earlier", zoom((from, to) => [from - (to - from) / 2, to - (to - from) / 2])),
    button("→", "Later", zoom((from, to) => [from + (to - from) / 2, to + (to - from) / 2])),
    button("Whole run", "Show the whole run", zoom(() => [0, 100])),
  ];
}

// Tells about what is under the pointer.
function hover(one, block, lanes) {
  const tip = make("div", { class: "tip", hidden: true });
  one.place.append(tip);
  const zr = one.chart.getZr();
  zr.on("mousemove", ({ offsetX, offsetY }) => {
    if (!one.chart.containPixel("grid", [offsetX, offsetY])) {
      tip.hidden = true;
      return;
    }
    const [when, lane] = one.chart.convertFromPixel("grid", [offsetX, offsetY]);
    const slack = Math.abs(one.chart.convertFromPixel("grid", [offsetX + 2, offsetY])[0] - when);
    tip.textContent = [laneName(block, block.lanes[lane]), ...lanes.describe(lane, when, slack)].join("\n");
    tip.hidden = false;
    const room = one.place.clientWidth - tip.offsetWidth - 4;
    tip.style.left = `${Math.max(0, Math.min(offsetX + 14, room))}px`;
    tip.style.top = `${offsetY + 18}px`;
  });
  zr.on("globalout", () => { tip.hidden = true; });
}
