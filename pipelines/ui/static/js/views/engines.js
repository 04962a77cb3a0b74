// The engines of the present or last run.

import { sparkline } from "../charts.js";
import { empty, h, put, table } from "../dom.js";
import { count, when } from "../format.js";

export function create(context) {
  const content = h("section", { class: "card" });
  const element = h("div", {}, h("div", { class: "lead" }, h("h1", {}, "Engines")), content);
  return {
    element,
    async update() {
      const found = await context.get("engines");
      if (!found.engines.length) return put(content, empty("No engine has been started", "The engines of a run are shown while it generates or scores rows, and afterwards with their totals."));
      put(content, h("p", { class: "quiet" }, found.running ? `At ${when(found.at)}` : `When the last run stopped, ${when(found.at)}`),
        table([{ head: "Model", class: "label" }, { head: "Tokens/s", num: true }, { head: "Last minutes" }, { head: "Replicas", num: true }, { head: "Queue", num: true }, { head: "In flight", num: true },
          { head: "Requests", num: true }, { head: "Tokens read", num: true }, { head: "written", num: true }, { head: "Loads", num: true }, { head: "Crashes", num: true }, { head: "Retried", num: true }],
        found.engines.map((one) => {
          const rates = one.samples.map((sample) => sample.tokens_per_second);
          const active = one.active && found.running;
          return { cells: [[one.name, " ", active ? null : h("span", { class: "quiet small" }, "idle")], active ? count(rates.at(-1) ?? 0) : "–", rates.length > 1 ? sparkline(rates, `Tokens per second of ${one.name}, at most ${count(Math.max(...rates))}`) : "",
            active ? count(one.replicas) : "–", active ? count(one.queued) : "–", active ? count(one.in_flight) : "–", count(one.requests), count(one.tokens_in), count(one.tokens_out), count(one.loads), count(one.crashes), count(one.retried)] };
        }), { label: "Engines" }));
    },
  };
}
