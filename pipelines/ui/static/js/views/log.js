// The lines of the present or last run, and its events if it logs them in the store.

import { empty, h, put, select, table, visible } from "../dom.js";
import { clock, count } from "../format.js";

export function create(context) {
  const content = h("section", { class: "card" });
  const search = h("input", { type: "search", placeholder: "part of a line", oninput: () => view.draw() });
  const controls = h("div", { class: "bar-of-controls" });
  const element = h("div", {}, h("div", { class: "lead" }, h("h1", {}, "Log")), controls, content);
  const view = {
    element, messages: [], events: [], source: "messages",
    async update() {
      Object.assign(view, await context.get("logs"));
      if (!controls.contains(document.activeElement)) put(controls,
        view.events.length ? select("Show", [["messages", "lines of the run"], ["events", "events"]], view.source, (source) => { view.source = source; view.draw(); }) : null,
        h("label", { class: "grow" }, "Find", search));
      view.draw();
    },
    draw() {
      const text = search.value.toLowerCase(), matches = (line) => line.toLowerCase().includes(text);
      put(content, view.source === "events" ? events(view.events.filter((one) => matches(JSON.stringify(one)))) : lines(view.messages.filter((one) => matches(one.text)), view.messages.length));
    },
  };
  return view;
}

function lines(found, all) {
  if (!all) return empty("No run has written here yet", "The lines of the present or last run are shown here, the newest first.");
  if (!found.length) return empty("No line matches");
  return h("ol", { class: "lines" }, [...found].reverse().map((one) => h("li", {}, h("time", { datetime: one.at }, clock(one.at)), visible(one.text))));
}

function events(found) {
  if (!found.length) return empty("No event matches");
  const about = ({ time, event, study, ...rest }) => Object.entries(rest).map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`).join("  ");
  return table([{ head: "Time" }, { head: "Event" }, { head: "", class: "label" }], [...found].reverse().slice(0, 500).map((one) => ({ cells: [clock(one.time), one.event, visible(about(one))] })),
    { label: "Events", caption: `The last ${count(Math.min(found.length, 500))} events` });
}
