// Loss curves, those in progress as they come.

import { lineChart } from "../charts.js";
import { empty, h, meter, put, table } from "../dom.js";
import { count, number, seconds } from "../format.js";

export function create(context) {
  const chart = h("div"), listing = h("div");
  const search = h("input", { type: "search", placeholder: "part of a name", oninput: () => view.draw() });
  const element = h("div", {}, h("div", { class: "lead" }, h("h1", {}, "Losses")), h("section", { class: "card" },
    h("div", { class: "bar-of-controls" }, h("label", { class: "grow" }, "Find", search)), chart, listing));
  const view = {
    element, curves: [], chosen: null, planned: 0,
    async update() {
      const found = await context.get("losses");
      Object.assign(view, found);
      view.draw();
    },
    draw() {
      const text = search.value.toLowerCase();
      const shown = view.curves.filter((one) => one.label.toLowerCase().includes(text));
      if (!view.curves.length) return put(chart, empty(view.planned ? "No training has started yet" : "This study trains no students", view.planned ? `${count(view.planned)} are planned.` : ""));
      const order = [...shown].sort((a, b) => rank(a, view) - rank(b, view));
      put(chart, lineChart(order.map((one) => ({ points: one.points, title: one.label, class: one.key === view.chosen ? "strong" : one.running ? "live" : "" })),
        { label: "Training loss by optimizer step", x: "optimizer step", y: "loss" }) ?? empty("No training matches"));
      put(listing, table([{ head: "Training", class: "label" }, { head: "Steps", num: true }, { head: "First loss", num: true }, { head: "Last loss", num: true }, { head: "Tokens/s", num: true }, { head: "Took", num: true }],
        shown.map((one) => ({ class: one.key === view.chosen ? "chosen" : null, cells: [
          h("button", { class: "link", type: "button", "data-focus": one.key, "aria-pressed": String(one.key === view.chosen), onclick: () => { view.chosen = view.chosen === one.key ? null : one.key; view.draw(); } }, one.label),
          one.total ? [`${count(one.done)} of ${count(one.total)}`, meter(one.done / one.total)] : count(one.points.at(-1)?.[0]),
          number(one.points[0]?.[1]), number(one.points.at(-1)?.[1]), one.tokens_per_second ? count(one.tokens_per_second) : "", one.seconds === undefined ? "" : seconds(one.seconds)] })), { label: "Trainings" }),
      view.left_out ? h("p", { class: "quiet small" }, `${count(view.left_out)} more are not shown.`) : []);
    },
  };
  return view;
}

const rank = (one, view) => (one.key === view.chosen ? 2 : one.running ? 1 : 0);
