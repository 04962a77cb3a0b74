// A paired comparison of any two students or data sets.

import { interval } from "../charts.js";
import { empty, h, put, select, table } from "../dom.js";
import { count, fixed, number, pValue, signed } from "../format.js";

export function create(context) {
  const controls = h("div", { class: "bar-of-controls" }), result = h("div");
  const element = h("div", {}, h("div", { class: "lead" }, h("h1", {}, "Compare")), h("section", { class: "card" }, controls, result));
  const view = {
    element,
    async update(parameters) {
      const of = parameters.get("of") ?? "students";
      const listed = await context.get("comparison", { of });
      const ready = listed.options.map((one, place) => ({ ...one, place })).filter((one) => one.ready);
      const a = parameters.get("a") ?? ready[0]?.place, b = parameters.get("b") ?? ready[1]?.place;
      const choices = ready.map((one) => [one.place, one.label]);
      const go = (change) => context.go({ of, a, b, ...change });
      if (!controls.contains(document.activeElement) || view.of !== of) put(controls,
        select("Compare", [["students", "students"], ["sets", "data sets"]], of, (chosen) => context.go({ of: chosen })),
        h("div", { class: "grow" }, select("A", choices, a, (chosen) => go({ a: chosen }))),
        h("div", { class: "grow" }, select("B", choices, b, (chosen) => go({ b: chosen }))),
        h("button", { type: "button", onclick: () => go({ a: b, b: a }) }, "Swap"));
      view.of = of;
      if (ready.length < 2) return put(result, empty(of === "sets" ? "Fewer than two data sets have finished" : "Fewer than two students were evaluated yet"));
      const found = await context.get("comparison", { of, a, b });
      put(result, show(found, of));
    },
    async navigated(parameters) { if (document.activeElement?.tagName !== "SELECT" || view.of !== (parameters.get("of") ?? "students")) document.activeElement?.blur(); await view.update(parameters); },
  };
  return view;
}

function show(found, of) {
  if (found.a === found.b) return empty("Choose two different ones");
  if (!found.lines.length) return empty("They have nothing in common to compare", of === "sets" ? "The sets share no seeds or no finished scores." : "No benchmark was finished by both.");
  const lines = found.lines.map((one) => ({ ...one, ...one.difference }));
  const reach = (one) => Math.max(...lines.filter((other) => other.percent === one.percent && (one.percent || other === one)).flatMap((other) => [Math.abs(other.low ?? 0), Math.abs(other.high ?? 0)]));
  const shown = (one, value) => (one.percent ? fixed(value) : number(value));
  const change = (one, value) => (one.percent ? signed(value) : `${value > 0 ? "+" : ""}${number(value)}`);
  return [table([{ head: of === "sets" ? "Measure" : "Benchmark" }, { head: "A", num: true }, { head: "B", num: true }, { head: "A − B", num: true },
    { head: "95 % interval" }, { head: "", num: true }, { head: "p", num: true }, { head: "A higher", num: true }, { head: "B higher", num: true }, { head: of === "sets" ? "Seeds" : "Tasks", num: true }],
  lines.map((one) => ({ cells: [one.label, shown(one, one.a), shown(one, one.b), one.difference ? h("strong", {}, change(one, one.points)) : "–",
    one.difference ? interval(one, reach(one)) : "", one.difference ? `${change(one, one.low)} to ${change(one, one.high)}` : "", one.difference ? pValue(one.p) : "–", count(one.higher), count(one.lower), count(one.tasks)] })), { label: "Comparison" }),
  h("p", { class: "quiet small" }, of === "sets" ? "Means over the seeds that both sets have, at most 2,000 of them: of each seed, the mean over its rows. "
    : "Scores in percent, over the tasks that both students answered. ", "The interval is a bootstrap over them, the p-value is of a paired permutation test, as in the report.")];
}
