// Distributions of scores by data set.

import { histogram } from "../charts.js";
import { empty, h, put, select } from "../dom.js";
import { count, number } from "../format.js";

export function create(context) {
  const controls = h("div", { class: "bar-of-controls" }), charts = h("div");
  const element = h("div", {}, h("div", { class: "lead" }, h("h1", {}, "Scores")), h("section", { class: "card" }, controls, charts));
  const view = {
    element,
    async update(parameters) {
      const found = await context.get("scores", { measure: parameters.get("measure") });
      if (!found.measures.length) return put(charts, empty("No data set has scores yet"));
      put(controls, h("div", { "data-focus": "measure" }, select("Measure", found.measures.map((one) => [one.name, one.label]), found.measure, (measure) => context.go({ measure }))));
      const most = Math.max(1, ...found.series.flatMap((one) => one.bins));
      put(charts, found.series.length ? h("div", { class: "histograms" }, found.series.map((one) => h("figure", {},
        h("figcaption", {}, h("a", { href: context.address("rows", { kind: found.measure.split(".")[0], step: one.step, sort: found.measure.split(".")[1], down: "1" }) }, one.label)),
        histogram(one.bins, { ...found, median: one.median, most, label: `${found.label} of ${one.label}: median ${number(one.median)}` }),
        h("p", { class: "quiet small" }, `median ${number(one.median)}, mean ${number(one.mean)}, ${count(one.rows)} rows`)))) : empty("No finite values yet"),
      h("p", { class: "quiet small" }, "All charts have the same axes. The outer bins also count the values beyond the middle 98 %; the line is the median.",
        found.left_out ? ` ${count(found.left_out)} more sets are not shown.` : ""));
    },
    async navigated(parameters) { await view.update(parameters); },
  };
  return view;
}
