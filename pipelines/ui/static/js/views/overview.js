// How far the study is.

import { h, meter, put, svg, table, visible } from "../dom.js";
import { clock, count, fixed, rate, seconds, when } from "../format.js";

export function create(context) {
  const element = h("div");
  return {
    element,
    async update() {
      const [found, listed] = await Promise.all([context.get("overview"), context.get("steps")]);
      put(element, head(found, context), pipeline(found.kinds, context), running(listed.steps, context), problems(found, context), messages(found, context));
      requestAnimationFrame(() => drawEdges(element));
    },
  };
}

const SENTENCES = {
  running: (one) => `Running since ${when(one.since)}, ${one.driver.split(", since")[0]}`,
  finished: () => "All steps are finished.",
  stopped: (one) => `Stopped${one.at ? ` at ${when(one.at)}` : ""}: the driver has exited. Run the study again to continue.`,
  interrupted: (one) => `Interrupted at ${when(one.at)}. Run the study again to continue.`,
  failed: (one) => `Ended at ${when(one.at)} with failed steps. Run the study again to retry them.`,
  unfinished: () => "Not running. Run the study again to continue.",
};

function head(found, context) {
  const left = found.total - found.done;
  const spent = found.spending;
  const tiles = [
    ["Steps", `${count(found.done)} of ${count(found.total)}`, left ? `${count(left)} left` : "all finished"],
    ["Rows", count(found.rows), found.failed_rows ? `${count(found.failed_rows)} failed` : "none failed"],
    found.eta !== undefined ? ["Time left", seconds(found.eta), "from the pace so far"]
      : found.record && found.status === "finished" ? ["Last run took", seconds(found.record.wall_seconds),
        found.record.planned_wall ? `planned: ${seconds(found.record.planned_wall)}` : ""] : null,
    spent.tokens ? ["Tokens", count(spent.tokens), "read and written"] : null,
    spent.dollars ? ["Spent", `$${fixed(spent.dollars, 2)}`, spent.budget.dollars ? `of $${fixed(spent.budget.dollars, 2)}` : "on endpoints"] : null,
    spent.gpu_hours >= 0.005 ? ["GPU-hours", fixed(spent.gpu_hours, 2), spent.budget.gpu_hours ? `of ${fixed(spent.budget.gpu_hours, 2)}` : ""] : null,
    found.record?.peak_memory_gib && found.status === "finished" ? ["Peak memory", `${fixed(found.record.peak_memory_gib)} GiB`, "of this machine"] : null,
  ].filter(Boolean);
  const share = found.kinds.reduce((sum, one) => sum + one.share * one.steps, 0) / (found.total || 1);
  return [
    h("div", { class: "lead" },
      h("div", {}, h("h1", {}, found.name), found.description && h("p", { class: "quiet" }, found.description)),
      found.has_report && h("a", { href: `/report/${encodeURIComponent(found.name)}`, target: "_blank", rel: "noopener" }, "Open the report")),
    h("section", { class: "card" },
      h("p", {}, SENTENCES[found.status](found)),
      h("div", { class: "whole" }, meter(share, found.status, `${Math.round(share * 100)} % done`)),
      h("dl", { class: "tiles" }, tiles.map(([name, value, note]) => h("div", {}, h("dt", {}, name), h("dd", {}, value, h("small", {}, note)))))),
  ];
}

// the columns of the graph: each kind is right of all kinds whose rows it reads; a cycle is cut where it closes
function layers(kinds) {
  const byName = new Map(kinds.map((one) => [one.kind, one])), depth = new Map();
  const visit = (one, path) => {
    if (depth.has(one.kind)) return depth.get(one.kind);
    const sources = one.sources.filter((name) => byName.has(name) && !path.includes(name));
    const found = sources.length ? 1 + Math.max(...sources.map((name) => visit(byName.get(name), [...path, one.kind]))) : 0;
    if (sources.length === one.sources.length || !path.length) depth.set(one.kind, found);
    return found;
  };
  const found = [];
  for (const one of kinds) (found[visit(one, [])] ??= []).push(one);
  return found.filter(Boolean);
}

function pipeline(kinds, context) {
  return h("section", { class: "card", "aria-label": "Graph of steps" },
    h("div", { class: "pipeline", "data-scroll": "pipeline", tabindex: "0", role: "group", "aria-label": "Kinds of steps in their order" }, layers(kinds).map((layer) =>
      h("ol", {}, layer.map((one) => h("li", {}, stage(one, context)))))));
}

function stage(one, context) {
  const done = (one.states.finished ?? 0) + (one.states.lost ?? 0);
  const state = one.states.failed || one.states.lost ? "failed" : one.states.running ? "running" : done === one.steps ? "finished" : "";
  const note = one.rate ? rate(one.rate) : one.rows ? `${count(one.rows)} rows` : state === "finished" ? seconds(one.seconds) : "";
  return h("a", { class: `stage ${state}`, href: context.address("steps", { kind: one.kind }), "data-focus": one.kind,
    "data-kind": one.kind, "data-sources": one.sources.join(" ") },
  h("b", {}, one.kind), h("span", {}, `${count(done)} of ${count(one.steps)}`), h("span", {}, note || "\u00a0"), meter(one.share, state, `${Math.round(one.share * 100)} % done`));
}

// lines between the cards, from each kind to those that read its rows
function drawEdges(element) {
  const frame = element.querySelector(".pipeline");
  if (!frame || getComputedStyle(frame).flexDirection === "column") return;
  const cards = [...frame.querySelectorAll(".stage")], origin = frame.getBoundingClientRect();
  const at = (card) => {
    const box = card.getBoundingClientRect();
    return { left: box.left - origin.left + frame.scrollLeft, right: box.right - origin.left + frame.scrollLeft, y: box.top - origin.top + box.height / 2 };
  };
  const lines = cards.flatMap((card) => card.dataset.sources.split(" ").map((source) => cards.find((one) => one.dataset.kind === source))
    .filter(Boolean).map((source) => [at(source), at(card)])).filter(([from, to]) => from.right < to.left);
  frame.prepend(svg("svg", { "aria-hidden": "true", width: frame.scrollWidth, height: frame.clientHeight },
    lines.map(([from, to]) => svg("path", { d: `M${from.right} ${from.y}C${from.right + 20} ${from.y} ${to.left - 20} ${to.y} ${to.left} ${to.y}` }))));
}

function running(steps, context) {
  const active = steps.filter((one) => one.state === "running");
  if (!active.length) return null;
  return h("section", { class: "card" }, h("h2", {}, "In progress"), table(
    [{ head: "Step", class: "label" }, { head: "Progress" }, { head: "Done", num: true }, { head: "Rate", num: true }, { head: "Left", num: true }],
    active.slice(0, 30).map((one) => ({ cells: [
      [h("a", { href: context.address("steps", { key: one.key }), "data-focus": one.key }, one.label), " ", h("span", { class: "quiet small" }, one.kind)],
      meter(one.done / one.total, "", `${one.done} of ${one.total}`), `${count(one.done)} of ${count(one.total)}`, rate(one.rate), one.done >= one.total ? "saving" : one.eta !== undefined ? seconds(one.eta) : "–"] })),
    { label: "Steps in progress" }));
}

function problems(found, context) {
  const parts = [
    found.failures.length ? h("section", { class: "card notice error" }, h("h2", {}, "Failed steps"), h("ul", { class: "links" },
      found.failures.map((one) => h("li", {}, h("span", {}, h("a", { href: context.address("steps", { key: one.key }) }, one.label), ": ", visible(one.why.split("\n")[0])))))) : null,
    found.reasons.length ? h("section", { class: "card" }, h("h2", {}, "Rejected or failed rows"), table([{ head: "Reason" }, { head: "Rows", num: true }],
      found.reasons.map(([reason, rows]) => ({ cells: [reason, count(rows)] })), { label: "Reasons" })) : null,
    found.retries.length ? h("section", { class: "card" }, h("h2", {}, "Retries of the last run"), table(
      [{ head: "Level" }, { head: "Of", class: "label" }, { head: "Used", num: true }, { head: "Allowed" }],
      found.retries.map((one) => ({ cells: [one.level, one.of, count(one.spent), one.allowed] })), { label: "Retries" })) : null,
  ].filter(Boolean);
  return parts.length ? h("div", { class: "two" }, parts) : null;
}

function messages(found, context) {
  if (!found.messages.length) return null;
  return h("section", { class: "card" }, h("div", { class: "lead" }, h("h2", {}, "Last lines"), h("a", { href: context.address("log") }, "Whole log")),
    h("ol", { class: "lines" }, found.messages.map((one) => h("li", {}, h("time", { datetime: one.at }, clock(one.at)), h("span", {}, one.text)))));
}
