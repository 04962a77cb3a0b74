// One row in a dialog: its fields, and every row that it was made from.

import { h, put, visible } from "../dom.js";
import { count, number } from "../format.js";

const LONG = 80;
const QUIET = ["round", "index", "tokens_in", "tokens_out", "attempts", "turn"];

export async function openRow(context, row, closed) {
  document.querySelector("dialog")?.remove();
  const content = h("div", {}, h("p", { class: "quiet" }, "Loading …"));
  const dialog = h("dialog", { "aria-labelledby": "row-title" },
    h("header", {}, h("h2", { id: "row-title" }, `Row ${row.id.slice(0, 8)}`),
      h("form", { method: "dialog" }, h("button", {}, "Close"))), content);
  document.body.append(dialog);
  dialog.addEventListener("close", () => { dialog.remove(); closed(); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.showModal();
  try {
    const { links } = await context.get("row", row);
    put(content, h("p", { class: "quiet small" }, "From the seed down to this row. Its id: ", h("code", {}, row.id)),
      h("ol", { class: "chain" }, links.map((link) => h("li", {}, one(link, context)))));
  } catch (error) {
    if (error.name !== "AbortError") put(content, h("p", { role: "alert" }, error.message));
  }
}

function one(link, context) {
  const short = [], long = [];
  for (const [name, value] of link.fields) {
    const text = Array.isArray(value) ? value.join("\n") : value;
    if (typeof text === "string" && (text.length > LONG || text.includes("\n") || ["instruction", "response"].includes(name))) long.push([name, text]);
    else short.push([name, text]);
  }
  short.sort((a, b) => QUIET.includes(a[0]) - QUIET.includes(b[0]));
  return [
    h("h3", {}, h("a", { href: context.address("steps", { key: link.step }) }, link.label), " ", h("code", { class: "quiet" }, link.id.slice(0, 8))),
    link.changes ? h("div", {}, h("p", { class: "quiet small" }, "What changed"), passage(link.changes.map(changed))) : null,
    long.filter(([name, text]) => !(link.changes && name === "instruction") && !(name === "raw" && link.fields.some(([other, same]) => other !== "raw" && same === text)))
      .map(([name, text]) => (["instruction", "response", "constraint"].includes(name)
        ? h("div", {}, h("p", { class: "quiet small" }, name), passage(visible(text)))
        : h("details", {}, h("summary", {}, name.replaceAll("_", " "), h("span", { class: "quiet small" }, ` ${count(text.length)} characters`)), passage(visible(text))))),
    link.method ? h("details", {}, h("summary", {}, "optimized method"), passage(visible(link.method))) : null,
    h("dl", { class: "facts" }, short.map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")),
      h("dd", {}, typeof value === "string" ? visible(value) : number(value, 4))])),
  ];
}

const passage = (...content) => h("div", { class: "passage", tabindex: "0", role: "group", "aria-label": "Text" }, content);

function changed([change, text]) {
  const shown = visible(text);
  return change === "same" ? shown : h(change === "added" ? "ins" : "del", {}, shown);
}
