"use strict";
// One point per model that has both metrics; published figures join on method and backbone, measured ones on the encoder.
const axes = data.boards.flatMap((board, index) => {
  const rows = data.rows.filter((row) => row.board === index);
  return metricsOf(board, rows).map((metric) => ({ index, metric, label: `${metric}: ${nameOf(board)}`, short: `${board.title}: ${metric}` }));
});

function pointsOf(x, y) {
  const points = new Map();
  for (const [axis, name] of [[x, "x"], [y, "y"]]) {
    for (const row of data.rows) {
      if (row.board !== axis.index || row.scores[axis.metric] === undefined) continue;
      const point = points.get(row.key) ?? { name: row.name, origin: row.origin, backbone: backboneOf(row) };
      point[name] = row.scores[axis.metric];
      points.set(row.key, point);
    }
  }
  return [...points.values()].filter((point) => point.x !== undefined && point.y !== undefined);
}

function ticks(low, high) {
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find((size) => (high - low) / size <= 6) ?? 50;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) found.push(Number(value.toFixed(6)));
  return found;
}

function plot(points, x, y) {
  const range = (name) => {
    const values = points.map((point) => point[name]);
    const margin = Math.max((Math.max(...values) - Math.min(...values)) * 0.08, 0.5);
    return [Math.min(...values) - margin, Math.max(...values) + margin];
  };
  const [left, top, width, height] = [56, 16, 560, 320];
  const [rangeX, rangeY] = [range("x"), range("y")];
  const atX = (value) => left + width * (value - rangeX[0]) / (rangeX[1] - rangeX[0]);
  const atY = (value) => top + height * (1 - (value - rangeY[0]) / (rangeY[1] - rangeY[0]));
  const svg = drawing("svg", { viewBox: "0 0 640 400", role: "group", "aria-label": `${y.label} against ${x.label}` });
  for (const tick of ticks(...rangeX)) {
    svg.append(drawing("line", { class: "axis", x1: atX(tick), x2: atX(tick), y1: top, y2: top + height }),
      drawing("text", { x: atX(tick), y: top + height + 18, "text-anchor": "middle" }, String(tick)));
  }
  for (const tick of ticks(...rangeY)) {
    svg.append(drawing("line", { class: "axis", x1: left, x2: left + width, y1: atY(tick), y2: atY(tick) }),
      drawing("text", { x: left - 8, y: atY(tick) + 4, "text-anchor": "end" }, String(tick)));
  }
  svg.append(drawing("text", { x: left + width / 2, y: top + height + 44, "text-anchor": "middle" }, x.short),
    drawing("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(14 ${top + height / 2}) rotate(-90)` }, y.short));
  for (const point of points) {
    const words = `${point.name} ${point.backbone}, ${point.origin}: ${x.metric} ${point.x.toFixed(1)}, ${y.metric} ${point.y.toFixed(1)}`;
    const [cx, cy] = [atX(point.x), atY(point.y)];
    const kind = `point ${point.origin}`;
    const mark = point.origin === "measured" ? drawing("circle", { class: kind, cx, cy, r: 5 })
      : drawing("path", { class: kind, d: `M${cx} ${cy - 6} L${cx + 6} ${cy} L${cx} ${cy + 6} L${cx - 6} ${cy} Z` });
    for (const [name, value] of [["tabindex", "0"], ["role", "img"], ["aria-label", words]]) mark.setAttribute(name, value);
    mark.append(drawing("title", {}, words));
    svg.append(mark);
    if (points.length <= 16) {
      const toLeft = cx > left + width * 0.75;
      svg.append(drawing("text", { x: cx + (toLeft ? -9 : 9), y: cy + 4, "text-anchor": toLeft ? "end" : "start" }, `${point.name} ${point.backbone}`));
    }
  }
  return svg;
}

function showScatter() {
  const [x, y] = ["x", "y"].map((name) => axes[Number(document.getElementById("scatter-" + name).value)]);
  const points = pointsOf(x, y);
  const figure = document.getElementById("scatter-figure");
  figure.replaceChildren(points.length ? plot(points, x, y) : element("p", {}, "No model has both."),
    element("figcaption", {}, `${points.length} models have both. ● measured   ◇ published`));
}

function startAxes() {
  // Two headlines that share the most models say more than two metrics of one benchmark.
  const headlines = axes.filter((axis) => axis.metric === data.boards[axis.index].headline);
  let best = [axes[0], axes[1] ?? axes[0]], most = 1;
  const weight = (point) => point.origin === "measured" ? 1000 : 1;  // what was measured here comes first
  for (const x of headlines) for (const y of headlines) {
    const shared = x.index < y.index ? pointsOf(x, y).reduce((sum, point) => sum + weight(point), 0) : 0;
    if (shared > most) [best, most] = [[x, y], shared];
  }
  return best.map((axis) => axes.indexOf(axis));
}

function startScatter() {
  if (!axes.length) return;
  const start = startAxes();
  const select = (name, chosen) => {
    const node = element("select", { id: "scatter-" + name, onchange: showScatter }, ...axes.map((axis, index) => element("option", { value: index }, axis.label)));
    node.value = chosen;
    return element("label", {}, name === "x" ? "Across" : "Up", node);
  };
  document.getElementById("scatter").append(element("h2", {}, "Two metrics against each other"),
    element("div", { class: "controls" }, select("x", start[0]), select("y", start[1])), element("figure", { id: "scatter-figure", style: "margin:0" }),
    ...savePictureButtons(() => document.querySelector("#scatter-figure svg"), "scatter"));
  showScatter();
}
start();
