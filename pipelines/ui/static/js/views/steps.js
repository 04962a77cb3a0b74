// All steps in a table, and one of them in full.

import { empty, h, meter, pill, put, select, table, visible } from "../dom.js";
import { bytes, count, rate, seconds, when } from "../format.js";

const PAGE = 150;
const STATES = ["running", "failed", "lost", "partial", "waiting", "finished"];

export function create(context) {
  const detail = h("div"), listing = h("div"), controls = h("div", { class: "bar-of-controls" });
  const search = h("input", { type: "search", placeholder: "part of a name", oninput: () => { view.page = 0; view.list(); } });
  const element = h("div", {}, h("div", { class: "lead" }, h("h1", {}, "Steps")), detail, h("section", { class: "card" }, controls, listing));
  const view = {
    element, steps: [], page: 0, parameters: new URLSearchParams(),
    async update(parameters) {
      view.parameters = parameters;
      const key = parameters.get("key");
      const [all, one] = await Promise.all([context.get("steps"), key ? context.get("step", { key }) : null]);
      view.steps = all.steps;
      view.show(one);
    },
    async navigated(parameters) {
      view.page = 0;
      await view.update(parameters);
      if (parameters.get("key")) detail.scrollIntoView({ block: "nearest" });
    },
    show(one) {
      const kinds = [...new Set(view.steps.map((each) => each.kind))];
      const states = STATES.filter((state) => view.steps.some((each) => each.state === state));
      if (!controls.contains(document.activeElement)) put(controls,
        h("label", { class: "grow" }, "Find", search),
        select("Kind", [["", "all kinds"], ...kinds.map((kind) => [kind, kind])], view.parameters.get("kind"), (kind) => view.filter({ kind })),
        select("State", [["", "all states"], ...states.map((state) => [state, state])], view.parameters.get("state"), (state) => view.filter({ state })));
      put(detail, one ? full(one, context, view) : []);
      view.list();
    },
    filter(change) {
      const now = Object.fromEntries(view.parameters);
      context.go({ ...now, key: undefined, ...change });
    },
    list() {
      const text = search.value.toLowerCase(), kind = view.parameters.get("kind"), state = view.parameters.get("state");
      const found = view.steps.filter((one) => (!kind || one.kind === kind) && (!state || one.state === state)
        && (!text || `${one.kind} ${one.label}`.toLowerCase().includes(text)));
      const shown = found.slice(view.page * PAGE, (view.page + 1) * PAGE);
      put(listing, found.length ? rows(shown, context, view) : empty("No step matches"), pager(found.length, view));
    },
  };
  return view;
}

function rows(shown, context, view) {
  const chosen = view.parameters.get("key");
  return table([{ head: "Step", class: "label" }, { head: "Kind" }, { head: "State" }, { head: "Rows", num: true }, { head: "Rejected", num: true },
    { head: "Failed", num: true }, { head: "Took", num: true }, { head: "Planned", num: true }], shown.map((one) => ({
    class: one.key === chosen ? "chosen" : null,
    cells: [h("a", { href: context.address("steps", { ...Object.fromEntries(view.parameters), key: one.key }), "data-focus": one.key }, one.label),
      one.kind, one.total ? h("div", {}, pill(one.state), meter(one.done / one.total, "", `${one.done} of ${one.total}`), h("span", { class: "small quiet" },
        [`${count(one.done)} of ${count(one.total)}`, rate(one.rate), one.eta !== undefined && (one.done >= one.total ? "saving" : `${seconds(one.eta)} left`)].filter(Boolean).join(", "))) : pill(one.state),
      one.out === undefined ? "" : count(one.out), one.rejected ? count(one.rejected) : "", one.failed ? count(one.failed) : "",
      one.seconds === undefined ? "" : seconds(one.seconds), one.planned === undefined ? "" : seconds(one.planned)],
  })), { label: "Steps", name: "steps" });
}

function pager(total, view) {
  if (total <= PAGE) return h("p", { class: "quiet small" }, `${count(total)} steps`);
  const last = Math.ceil(total / PAGE) - 1;
  const turn = (by, label) => h("button", { type: "button", "data-focus": label, disabled: by < 0 ? view.page === 0 : view.page === last, onclick: () => { view.page += by; view.list(); } }, label);
  return h("div", { class: "pager" }, h("p", { class: "quiet small" }, `${count(view.page * PAGE + 1)}–${count(Math.min(total, (view.page + 1) * PAGE))} of ${count(total)} steps`),
    turn(-1, "Previous"), turn(1, "Next"));
}

function full(one, context, view) {
  const links = (title, list) => list.length ? h("div", {}, h("h3", {}, title), h("ul", { class: "links" }, list.slice(0, 12).map((each) =>
    h("li", {}, h("a", { href: context.address("steps", { key: each.key }) }, each.label), pill(each.state)))),
  list.length > 12 && h("p", { class: "quiet small" }, `and ${count(list.length - 12)} more`)) : null;
  const facts = [
    ["Key", h("code", {}, one.key)], one.model && ["Model", one.model],
    one.in !== undefined && ["Rows", `${count(one.in)} in, ${count(one.out)} out, ${count(one.rejected)} rejected, ${count(one.failed)} failed`],
    one.reasons && Object.keys(one.reasons).length && ["Reasons", Object.entries(one.reasons).map(([reason, rows_]) => `${reason} ${count(rows_)}`).join(", ")],
    one.seconds !== undefined && ["Took", `${seconds(one.seconds)}${one.planned !== undefined ? ` (planned: ${seconds(one.planned)})` : ""}`],
    one.finished && ["Finished", when(one.finished)], one.bytes !== undefined && ["Files", `${count(one.files)}, ${bytes(one.bytes)}`],
    one.failure && ["Failure", visible(one.failure)],
  ].filter(Boolean);
  const json = (title, value) => value && Object.keys(value).length ? h("details", {}, h("summary", {}, title), h("pre", { class: "json", tabindex: "0" }, JSON.stringify(value, null, 2))) : null;
  return h("section", { class: "card" },
    h("div", { class: "lead" }, h("h2", {}, `${one.kind} ${one.label}`), pill(one.state)),
    h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    one.has_rows && one.out !== undefined ? h("p", {}, h("a", { href: context.address("rows", { kind: one.kind, step: one.key }) }, "Its rows"),
      one.rejected + one.failed ? [" · ", h("a", { href: context.address("rows", { kind: one.kind, step: one.key, file: "rejected" }) }, "Rows that were not passed on")] : null) : null,
    h("div", { class: "two" }, links("Made from", one.inputs), links("Used by", one.dependents)),
    json("What its key is made from", one.payload), json("Placement", one.placement), json("Versions", one.versions),
    h("p", { class: "right" }, h("button", { type: "button", onclick: () => view.filter({}) }, "Close")));
}
