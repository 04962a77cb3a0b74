// The grid of results as heat maps whose cells open.

import { empty, h, put, scrolling, table, visible } from "../dom.js";
import { count, fixed, signed } from "../format.js";

export function create(context) {
  const heats = h("div", { class: "heats" }), note = h("div"), detail = h("div");
  const element = h("div", {}, h("div", { class: "lead" }, h("h1", {}, "Results"), h("span", { class: "scale" },
    h("i", { class: "down" }), "below", h("i"), "the untuned model", h("i", { class: "up" }), "above")), note,
  h("section", { class: "card" }, heats), detail);
  const view = {
    element, reading: null, parameters: new URLSearchParams(),
    async update(parameters) {
      view.found = await context.get("results");
      await view.navigated(parameters);
      view.reading ??= readRest(view, context, heats, note).finally(() => { view.reading = null; });
    },
    async navigated(parameters) {
      view.parameters = parameters;
      show(view, context, parameters, heats, note);
      await showDetail(view, context, parameters, detail);
    },
  };
  return view;
}

// the first part is shown at once; the rest is read while the view is open
async function readRest(view, context, heats, note) {
  await new Promise(requestAnimationFrame);
  while (view.found.unread && view.element.isConnected) {
    try {
      view.found = await context.get("results");
      show(view, context, view.parameters, heats, note);
    } catch (error) {
      if (error.name !== "AbortError") return; // the server has gone, which the page says
    }
  }
}

function show(view, context, parameters, heats, note) {
  const { heat, results, unfinished, unread } = view.found;
  put(note, unread ? h("p", { class: "quiet" }, `Reading ${count(unread)} more evaluations …`)
    : unfinished && results.length ? h("p", { class: "quiet" }, `${count(unfinished)} evaluations are not finished yet.`) : []);
  const untuned = results.filter((one) => one.round < 0);
  if (!heat.length) return put(heats, untuned.length ? untunedTable(untuned) : empty("No evaluation has finished yet", unfinished ? `${count(unfinished)} are planned.` : "This study has no students."));
  const chosen = parameters.get("at") ?? "";
  put(heats, heat.map((one) => h("section", {}, h("h2", {}, `${one.student} ${one.recipe}`, h("span", { class: "quiet" }, ` · ${one.benchmark}`)),
    h("p", { class: "quiet small" }, one.base === null ? "The untuned model was not evaluated." : `Untuned: ${fixed(one.base)} %`), heatTable(one, chosen, context))));
}

function heatTable(one, chosen, context) {
  const name = [one.student, one.recipe, one.benchmark].join("|");
  return scrolling(name, h("table", { class: "heat" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "instructions"), one.teachers.map((teacher) => h("th", { scope: "col" }, teacher)))),
    h("tbody", {}, one.rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.evolver ? `${row.evolver} round ${row.round}` : "seed data"),
      row.cells.map((cell, place) => {
        const at = JSON.stringify([one.student, one.recipe, one.benchmark, row.evolver, row.round, one.teachers[place]]);
        return h("td", {}, cell ? h("button", { type: "button", class: cell.shade < 0 ? "down" : "up", "--shade": Math.abs(cell.shade), "data-focus": at,
          "aria-pressed": String(at === chosen), "aria-label": `${fixed(cell.value)} percent${cell.delta === null ? "" : `, ${signed(cell.delta)} points`}`,
          onclick: () => context.go({ at: at === chosen ? undefined : at }) }, fixed(cell.value), cell.delta !== null && h("small", {}, signed(cell.delta))) : h("div", { class: "none" }, "–"));
      }))))), `Results of ${one.student} ${one.recipe}`);
}

function untunedTable(results) {
  return table([{ head: "Model" }, { head: "Benchmark" }, { head: "Score", num: true }], results.map((one) => ({ cells: [one.student, one.measure, fixed(one.value)] })));
}

async function showDetail(view, context, parameters, detail) {
  const at = parameters.get("at");
  if (!at) return put(detail);
  const [student, recipe, measure, evolver, round, teacher] = JSON.parse(at);
  const members = view.found.results.filter((one) => one.student === student && one.recipe === recipe && one.measure === measure
    && one.evolver === evolver && one.round === round && one.teacher === teacher);
  if (!members.length) return put(detail);
  const step = parameters.get("step") ?? members[0].step;
  const chosen = members.find((one) => one.step === step) ?? members[0];
  const opened = chosen.cell >= 0 ? await context.get("cell", { cell: chosen.cell, step: chosen.step }) : null;
  put(detail, h("section", { class: "card" }, h("h2", {}, `${student} ${recipe} on ${evolver ? `${evolver} round ${round}` : "seed data"}, answers of ${teacher}`),
    table([{ head: "Decoding" }, { head: "Selection" }, { head: "Seed", num: true }, { head: "Rows", num: true }, { head: "Score", num: true }, { head: "95 % interval", num: true }, { head: "By level" }, { head: "" }],
      members.map((one) => ({ class: one === chosen && members.length > 1 ? "chosen" : null, cells: [one.decoding, one.selection, one.seed ?? "", count(one.rows), fixed(one.value), `${fixed(one.low)} – ${fixed(one.high)}`,
        one.by_level.map(([level, mean]) => `${level}: ${fixed(mean, 0)}`).join(" · "),
        one.step ? h("a", { href: context.address("results", { at, step: one.step }) }, "answers") : ""] })), { label: "Results of this cell" }),
    opened && answers(opened, chosen, context)));
}

function answers(opened, chosen, context) {
  const right = opened.answers.filter((one) => one.correct).length;
  return h("div", {}, h("h3", {}, "Answers"), h("p", { class: "quiet small" }, `${count(right)} of the ${opened.answers.length === opened.count ? "" : "first "}${count(opened.answers.length)} are correct. `,
    h("a", { href: context.address("rows", { kind: "evaluate", step: chosen.step }) }, "All of them as rows")),
  table([{ head: "" }, { head: "Task", class: "wide" }, { head: "Answer", class: "wide" }, { head: "Reference" }], opened.answers.slice(0, 60).map((one) => ({ cells: [
    h("span", { class: `pill ${one.correct ? "finished" : "failed"}` }, one.correct ? "right" : "wrong"), visible(one.instruction, "div"), visible(one.response, "div"), visible(one.reference, "div")] })), { class: "cells", label: "Answers" }));
}
