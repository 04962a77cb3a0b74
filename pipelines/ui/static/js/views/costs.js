// What the study has spent, against its budget, and its time against the plan.

import { empty, h, meter, put, table } from "../dom.js";
import { count, fixed, seconds } from "../format.js";

const UNITS = { dollars: ["Dollars", (value) => `$${fixed(value, 2)}`], tokens: ["Tokens", count], gpu_hours: ["GPU-hours", (value) => fixed(value, 2)] };

export function create(context) {
  const element = h("div");
  return {
    element,
    async update() {
      const found = await context.get("costs");
      put(element, h("div", { class: "lead" }, h("h1", {}, "Costs")), budget(found.spending), models(found.spending), times(found), deviations(found, context));
    },
  };
}

function budget(spent) {
  return h("section", { class: "card" }, h("h2", {}, "Spent over all runs"), h("dl", { class: "tiles" }, Object.entries(UNITS).map(([unit, [name, show]]) => {
    const limit = spent.budget[unit];
    return h("div", {}, h("dt", {}, name), h("dd", {}, show(spent[unit]), h("small", {}, limit ? `of ${show(limit)}` : "no limit"),
      limit ? meter(spent[unit] / limit, spent[unit] >= limit ? "over" : "", `${Math.round((100 * spent[unit]) / limit)} % of the budget`) : null));
  })));
}

function models(spent) {
  const rows = Object.entries(spent.models);
  if (!rows.length) return empty("No model has been called yet");
  return h("section", { class: "card" }, h("h2", {}, "By model"), table([{ head: "Model" }, { head: "Tokens read", num: true }, { head: "Tokens written", num: true }, { head: "Dollars", num: true }],
    rows.map(([name, one]) => ({ cells: [name, count(one.tokens_in), count(one.tokens_out), one.dollars ? fixed(one.dollars, 2) : "–"] })), { label: "Spending by model" }));
}

function times(found) {
  const most = Math.max(...found.kinds.flatMap((one) => [one.seconds, one.planned ?? 0]), 1e-9);
  return h("section", { class: "card" }, h("h2", {}, "Time by kind of step"), table(
    [{ head: "Kind" }, { head: "Steps", num: true }, { head: "Took", num: true }, { head: "Planned", num: true }, { head: "Left", num: true }, { head: "Took (blue), planned (grey)" }],
    found.kinds.map((one) => ({ cells: [one.kind, count(one.steps), seconds(one.seconds), one.planned === null ? "unknown" : seconds(one.planned), one.remaining ? seconds(one.remaining) : "–",
      h("div", { class: "plan" }, meter(one.seconds / most, "", `took ${seconds(one.seconds)}`), meter((one.planned ?? 0) / most, "planned", `planned ${seconds(one.planned ?? 0)}`))] })), { label: "Time by kind" }),
  h("p", { class: "quiet small" }, "Sums over steps, which run side by side.", found.record ? ` The last run took ${seconds(found.record.wall_seconds)}${found.record.planned_wall ? ` (planned: ${seconds(found.record.planned_wall)})` : ""}.` : ""));
}

function deviations(found, context) {
  if (!found.deviations.length) return null;
  return h("section", { class: "card" }, h("h2", {}, "Largest deviations from the plan"), table([{ head: "Step", class: "label" }, { head: "Took", num: true }, { head: "Planned", num: true }],
    found.deviations.map((one) => ({ cells: [h("a", { href: context.address("steps", { key: one.key }) }, one.label), seconds(one.seconds), seconds(one.planned)] })), { label: "Deviations" }));
}
