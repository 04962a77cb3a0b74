// The studies of the store.

import { empty, h, meter, pill } from "../dom.js";
import { count, seconds } from "../format.js";

export function studies(state, address) {
  if (!state.studies.length) return empty("This store has no study yet", h("p", {}, state.store),
    h("p", {}, "It appears here as soon as one runs:"), h("pre", {}, "evolgrid run studies/quickstart.yaml"));
  return h("div", {}, h("div", { class: "lead" }, h("h1", {}, "Studies"), h("p", { class: "quiet mono small" }, state.store)),
    h("ul", { class: "studies" }, state.studies.map((one) => h("li", { class: "card" },
      h("div", { class: "lead" }, h("h2", {}, h("a", { href: address(one.name, "overview") }, one.name)), pill(one.status)),
      one.error ? h("p", {}, one.error) : [
        one.description && h("p", { class: "quiet" }, one.description),
        h("p", {}, `${count(one.done)} of ${count(one.total)} steps, ${count(one.rows)} rows`,
          one.eta !== undefined && `, about ${seconds(one.eta)} left`),
        meter(one.done / one.total, one.status, `${one.done} of ${one.total} steps`)]))));
}
