#!/usr/bin/env bash
# Apache ECharts 6.1.0: `fontFamily: "inherit"` makes all labels 10px sans-serif, whatever their `fontSize` is.
#
# One would guess that it takes the page's font, as in CSS, and as ECharts' own SVG renderer does. On a canvas, which is the
# default, "20px inherit" is no font: assigning it to `context.font` does nothing, so that the canvas keeps its first
# font, and loses the size, the weight and the style with the family. Nothing is logged.
#
# Seen (in Chromium 156, labels of 20 px):
#   canvas  monospace  20px monospace
#   canvas  inherit    10px sans-serif
#   svg     inherit    20px monospace
set -euo pipefail
command -v chromium >/dev/null || { echo "this needs chromium" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --ignore-scripts echarts@6.1.0 >/dev/null
cp node_modules/echarts/dist/echarts.min.js .
cat >page.html <<'HTML'
<!doctype html>
<body style="font-family: monospace">
<div id="chart" style="width: 600px; height: 300px"></div>
<pre id="seen"></pre>
<script src="echarts.min.js"></script>
<script>
const fonts = new Set(), draw = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (...given) {
  fonts.add(this.font);
  return draw.apply(this, given);
};
for (const [renderer, fontFamily] of [["canvas", "monospace"], ["canvas", "inherit"], ["svg", "inherit"]]) {
  fonts.clear();
  const chart = echarts.init(document.getElementById("chart"), null, { renderer });
  const axis = { axisLabel: { fontFamily, fontSize: 20 } };
  chart.setOption({ animation: false, xAxis: { type: "category", data: ["a"], ...axis }, yAxis: axis,
    series: [{ type: "bar", data: [1] }] });
  chart.getZr().flush();
  for (const text of document.querySelectorAll("#chart text")) {
    const style = getComputedStyle(text);
    fonts.add(`${style.fontSize} ${style.fontFamily}`);
  }
  document.getElementById("seen").append(`seen ${renderer} ${fontFamily}: ${[...fonts].join(", ")}\n`);
  chart.dispose();
}
</script>
HTML
chromium --headless --no-sandbox --disable-gpu --disable-background-networking --user-data-dir="$folder/profile" \
    --allow-file-access-from-files --dump-dom "file://$folder/page.html" 2>/dev/null |
    sed -n 's/.*\(seen [a-z]* [a-z]*: .*\)/\1/p' >seen.txt
cat seen.txt
grep -qx "seen canvas monospace: 20px monospace" seen.txt
grep -qx "seen canvas inherit: 10px sans-serif" seen.txt
grep -qx "seen svg inherit: 20px monospace" seen.txt
