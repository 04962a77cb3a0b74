// Small charts as SVG.

import { svg } from "./dom.js";
import { number } from "./format.js";

function ticks(low, high, wanted = 4) {
  const raw = (high - low) / wanted || 1;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * size).find((one) => one >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(at);
  return found;
}

const path = (points) => points.map(([x, y], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

// curves: [{points: [[x, y]], class, title}]
export function lineChart(curves, { label, x, y }) {
  const width = window.innerWidth < 760 ? 400 : 900, height = window.innerWidth < 760 ? 240 : 320;
  const all = curves.flatMap((one) => one.points);
  if (!all.length) return null;
  const pad = { left: 46, right: 10, top: 10, bottom: 34 };
  const xs = all.map((one) => one[0]), ys = all.map((one) => one[1]).filter(Number.isFinite).sort((a, b) => a - b);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const low = Math.min(0, ys[0]), high = ys[Math.min(ys.length - 1, Math.floor(ys.length * 0.998))] || 1;
  const at = (px, py) => [
    pad.left + ((px - left) / (right - left || 1)) * (width - pad.left - pad.right),
    height - pad.bottom - ((Math.min(py, high) - low) / (high - low || 1)) * (height - pad.top - pad.bottom),
  ];
  return svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    ticks(low, high).map((tick) => [
      svg("line", { class: "grid", x1: pad.left, x2: width - pad.right, y1: at(left, tick)[1], y2: at(left, tick)[1] }),
      svg("text", { x: pad.left - 6, y: at(left, tick)[1] + 4, "text-anchor": "end" }, number(tick, 2))]),
    ticks(left, right, width / 150).map((tick) => svg("text", { x: at(tick, low)[0], y: height - pad.bottom + 15, "text-anchor": "middle" }, number(tick, 2))),
    svg("text", { x: width - pad.right, y: height - 4, "text-anchor": "end" }, x),
    svg("text", { x: 4, y: 12 }, y),
    curves.map((one) => svg("path", { class: `curve ${one.class ?? ""}`, d: path(one.points.filter((p) => Number.isFinite(p[1])).map((p) => at(...p))) },
      one.title && svg("title", {}, one.title))));
}

export function sparkline(values, label) {
  const width = 144, height = 32, most = Math.max(...values, 1e-9);
  const points = values.map((value, place) => [(place / Math.max(1, values.length - 1)) * width, height - 2 - (value / most) * (height - 6)]);
  return svg("svg", { class: "chart spark", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    svg("path", { class: "curve strong", d: path(points) }));
}

export function histogram(bins, { low, width, median, most, label }) {
  const size = { width: 240, height: 84, bottom: 16 }, step = size.width / bins.length;
  const place = (value) => Math.max(0, Math.min(size.width, ((value - low) / (width * bins.length)) * size.width));
  const base = size.height - size.bottom;
  return svg("svg", { class: "chart", viewBox: `0 0 ${size.width} ${size.height}`, role: "img", "aria-label": label },
    bins.map((value, number_) => svg("rect", { class: "bar", x: number_ * step + 0.5, width: step - 1, y: base - (value / most) * (base - 4), height: (value / most) * (base - 4) })),
    svg("line", { class: "grid", x1: 0, x2: size.width, y1: base, y2: base }),
    svg("line", { class: "median", x1: place(median), x2: place(median), y1: 0, y2: base }),
    svg("text", { x: 0, y: size.height - 3 }, number(low, 2)),
    svg("text", { x: size.width, y: size.height - 3, "text-anchor": "end" }, number(low + width * bins.length, 2)));
}

// an interval around 0, in the range of all intervals of a table
export function interval({ points, low, high }, reach) {
  const width = 176, x = (value) => width / 2 + (value / (reach || 1)) * (width / 2 - 6);
  return svg("svg", { class: "interval", viewBox: `0 0 ${width} 22`, role: "img", "aria-label": `from ${number(low)} to ${number(high)}` },
    svg("line", { class: "zero", x1: width / 2, x2: width / 2, y1: 0, y2: 22 }),
    svg("line", { class: "range", x1: x(low), x2: x(high), y1: 11, y2: 11 }),
    svg("circle", { cx: x(points), cy: 11, r: 4.5 }));
}
