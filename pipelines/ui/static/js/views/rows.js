// A browser of rows: filters, sorting, pages, and a row with its lineage.

import { empty, h, put, select, table, visible } from "../dom.js";
import { count, number } from "../format.js";
import { openRow } from "./row.js";

const LIMIT = 50;
const OPERATORS = {
  text: [["has", "contains"], ["is", "is"], ["not", "is not"]],
  list: [["has", "contains"]],
  number: [["ge", "≥"], ["le", "≤"], ["gt", ">"], ["lt", "<"], ["is", "="]],
  bool: [["is", "is"]],
};
const SIGNS = { has: "contains", is: "=", not: "≠", ge: "≥", le: "≤", gt: ">", lt: "<" };
const WIDE = ["instruction", "response", "raw", "detail", "answers", "candidates"];
// what is worth a place in the table comes first
const FIRST = ["index", "instruction", "input", "response", "correct", "reference", "outcome", "method", "reason", "detail"];
const LAST = ["raw", "messages", "thoughts", "history", "system", "before", "probabilities", "answer_probabilities", "versions", "judge_thoughts"];

export function create(context) {
  const element = h("div"), controls = h("div"), listing = h("div"), total = h("p", { class: "quiet small" });
  element.append(h("div", { class: "lead" }, h("h1", {}, "Rows")), h("section", { class: "card" }, controls, listing));
  const view = {
    element, live: false, columns: [], kinds: [], steps: [],
    async update(parameters) {
      const now = Object.fromEntries(parameters);
      view.now = { ...now, f: parameters.getAll("f") };
      if (!view.steps.length) view.steps = (await context.get("steps")).steps;
      const finished = view.steps.filter((one) => one.out !== undefined);
      const kinds = [...new Set(finished.map((one) => one.kind))].filter((kind) => kind !== "train");
      if (!kinds.length) { view.steps = []; put(listing, empty("No step has finished yet", "Its rows can be read here once it has.")); return; }
      view.kinds = kinds;
      view.kind = kinds.includes(now.kind) ? now.kind : kinds.includes("respond") ? "respond" : kinds[0];
      const query = { ...view.now, kind: view.kind, limit: LIMIT, row: undefined, of: undefined };
      const found = await context.get("rows", query);
      view.columns = found.columns;
      showControls(view, controls, context, finished);
      showRows(view, listing, total, found, context);
      put(total, "counting …");
      context.get("count", query).then((counted) => put(total, describe(view, found, counted))).catch((error) => {
        if (error.name !== "AbortError") put(total, error.message);
      });
      if (now.row) openRow(context, { step: now.of, id: now.row, file: now.file }, () => view.go({ row: undefined, of: undefined }));
    },
    async navigated(parameters) { await view.update(parameters); },
    go(change) { context.go({ ...view.now, ...change }); },
  };
  return view;
}

function describe(view, found, counted) {
  const first = Number(view.now.offset ?? 0);
  if (!found.rows.length) return "";
  const range = `${count(first + 1)}–${count(first + found.rows.length)} of ${count(counted.rows)}`;
  return counted.rows === counted.total ? `${range} rows` : `${range} rows that match, of ${count(counted.total)}`;
}

function showControls(view, controls, context, finished) {
  if (controls.contains(document.activeElement) && document.activeElement.tagName === "INPUT") return showChips(view, controls);
  const steps = finished.filter((one) => one.kind === view.kind);
  const search = h("input", { type: "search", value: view.now.q ?? "", placeholder: "in any text", "data-focus": "q" });
  const columns = view.columns.filter((one) => one.type in OPERATORS);
  const chosen = { column: columns[0]?.name, operator: null };
  const value = h("input", { type: "text", "aria-label": "Value", size: 12 });
  const operators = h("span");
  const showOperators = () => {
    const kind = columns.find((one) => one.name === chosen.column)?.type ?? "text";
    chosen.operator = OPERATORS[kind][0][0];
    const list = select("", OPERATORS[kind], chosen.operator, (operator) => { chosen.operator = operator; });
    list.querySelector("select").setAttribute("aria-label", "Comparison");
    put(operators, list);
  };
  showOperators();
  const add = (event) => {
    event.preventDefault();
    if (value.value !== "") view.go({ f: [...view.now.f, `${chosen.column}:${chosen.operator}:${value.value}`], offset: undefined });
  };
  put(controls,
    h("form", { class: "bar-of-controls", role: "search", onsubmit: (event) => { event.preventDefault(); view.go({ q: search.value, offset: undefined }); } },
      select("Kind", view.kinds.map((kind) => [kind, kind]), view.kind, (kind) => context.go({ kind, q: search.value })),
      select("Step", [["", `all ${count(steps.length)}`], ...steps.map((one) => [one.key, one.label])], view.now.step, (step) => view.go({ step, offset: undefined })),
      select("Outcome", [["rows", "passed on"], ["rejected", "not passed on"]], view.now.file ?? "rows", (file) => context.go({ kind: view.kind, step: view.now.step, q: search.value, file })),
      h("label", { class: "grow" }, "Search", search), h("button", {}, "Search")),
    h("form", { class: "bar-of-controls", onsubmit: add },
      select("Filter", columns.map((one) => [one.name, one.name.replaceAll("_", " ")]), chosen.column, (column) => { chosen.column = column; showOperators(); }),
      operators, value, h("button", {}, "Add filter")),
    h("ul", { class: "chips" }));
  showChips(view, controls);
}

function showChips(view, controls) {
  const chips = controls.querySelector(".chips");
  if (!chips) return;
  put(chips, view.now.f.map((filter) => {
    const [column, operator, ...value] = filter.split(":");
    const shown = `${column.replaceAll("_", " ")} ${SIGNS[operator] ?? operator} ${value.join(":")}`;
    return h("li", {}, h("button", { type: "button", "aria-label": `Remove the filter ${shown}`, onclick: () =>
      view.go({ f: view.now.f.filter((one) => one !== filter), offset: undefined }) }, shown, " ×"));
  }));
  chips.hidden = !view.now.f.length;
}

function arranged(columns, rows) {
  const place = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : LAST.includes(name) ? 100 + LAST.indexOf(name) : 50);
  const used = columns.map((one, at) => ({ ...one, at: at + 2 })).filter((one) => one.type === "number" || one.type === "bool"
    || rows.some((row) => row[one.at] !== "" && row[one.at] !== "[]" && row[one.at] !== null));
  return used.sort((a, b) => place(a.name) - place(b.name));
}

function showRows(view, listing, total, found, context) {
  const offset = Number(view.now.offset ?? 0);
  if (!found.rows.length) return put(listing, empty(view.now.q || view.now.f.length || offset ? "No row matches" : "There are no such rows",
    view.now.q || view.now.f.length ? h("button", { type: "button", onclick: () => view.go({ q: undefined, f: [], offset: undefined }) }, "Remove all filters") : ""));
  const columns = arranged(found.columns, found.rows), labels = new Map(view.steps.map((one) => [one.key, one.label]));
  const several = new Set(found.rows.map((row) => row[0])).size > 1 || !view.now.step;
  const heads = columns.map((one) => {
    const mine = view.now.sort === one.name;
    const next = mine && !view.now.down ? { sort: one.name, down: "1" } : mine ? { sort: undefined, down: undefined } : { sort: one.name, down: undefined };
    return { num: one.type === "number", class: WIDE.includes(one.name) ? "wide" : null, sort: mine ? (view.now.down ? "descending" : "ascending") : null,
      head: h("button", { type: "button", "data-focus": `sort-${one.name}`, onclick: () => view.go({ ...next, offset: undefined }) }, one.name.replaceAll("_", " ")) };
  });
  const rows = found.rows.map((row) => ({ cells: [
    h("a", { href: context.address("rows", { ...view.now, row: row[1], of: row[0] }), class: "mono", "data-focus": row[1], "aria-label": `Row ${row[1].slice(0, 8)} with its lineage` }, row[1].slice(0, 8)),
    ...(several ? [labels.get(row[0]) ?? row[0].slice(0, 8)] : []),
    ...columns.map((one) => (one.type === "number" || one.type === "bool" ? number(row[one.at]) : visible(row[one.at], "div")))] }));
  const turn = (label, to, off) => h("button", { type: "button", "data-focus": label, disabled: off, onclick: () => view.go({ offset: to || undefined }) }, label);
  put(listing, table([{ head: "Row" }, ...(several ? [{ head: "Step", class: "label" }] : []), ...heads], rows, { class: "cells", label: "Rows", name: "rows" }),
    h("div", { class: "pager" }, total, turn("Previous", Math.max(0, offset - LIMIT), !offset), turn("Next", offset + LIMIT, !found.more)));
}
