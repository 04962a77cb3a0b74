// Routes between views: the address after # is STUDY/VIEW?parameters.

import { get, listen } from "./api.js";
import { empty, h, pill, put, select } from "./dom.js";

const VIEWS = [["overview", "Overview"], ["steps", "Steps"], ["rows", "Rows"], ["results", "Results"], ["search", "Search"], ["compare", "Compare"],
  ["scores", "Scores"], ["losses", "Losses"], ["engines", "Engines"], ["costs", "Costs"], ["log", "Log"]];
const main = document.getElementById("main");
const state = { studies: [], store: "", view: null, study: "", name: "", abort: null, timer: null };

function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [study = "", name = "overview"] = path.split("/").map(decodeURIComponent);
  return { study, name: VIEWS.some(([known]) => known === name) ? name : "overview", parameters: new URLSearchParams(query) };
}

export function address(study, name, parameters = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters))
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== undefined && one !== null && one !== "") query.append(key, one);
  return `#/${encodeURIComponent(study)}/${name}${query.size ? `?${query}` : ""}`;
}

async function loadStudies() {
  const found = await get("/api/studies");
  Object.assign(state, found);
}

function showFrame(study, name) {
  const known = state.studies.find((one) => one.name === study);
  const links = VIEWS.filter(([key]) => key !== "search" || known?.search).map(([key, label]) => h("li", {}, h("a", { href: address(study, key), "data-focus": key,
    "aria-current": key === name ? "page" : null }, label)));
  const views = document.getElementById("views");
  put(views, study ? h("ul", {}, links) : []);
  const current = views.querySelector("[aria-current]");
  if (current) views.scrollLeft = current.offsetLeft - views.clientWidth / 2 + current.offsetWidth / 2;
  const chooser = state.studies.length > 1 ? select("", state.studies.map((one) => [one.name, one.name]), study,
    (chosen) => { location.hash = address(chosen, name); }) : null;
  chooser?.querySelector("select").setAttribute("aria-label", "Study");
  put(document.getElementById("study"), study ? [chooser ?? h("strong", {}, study), known && pill(known.status)] : []);
  document.title = study ? `${VIEWS.find(([key]) => key === name)[1]} · ${study} · evolgrid` : "evolgrid";
}

function showError(error) {
  put(main, h("div", { class: "card notice error", role: "alert" }, h("h1", {}, "This view cannot be shown"), h("p", {}, error.message)));
}

async function navigate() {
  const { study, name, parameters } = route();
  if (!study || !state.studies.some((one) => one.name === study)) return showStart(study);
  const same = state.view && state.study === study && state.name === name, first = !state.study;
  showFrame(study, name);
  state.abort?.abort();
  state.abort = new AbortController();
  const { signal } = state.abort;
  // what takes long says so, instead of leaving the view before in place
  const slow = same ? null : setTimeout(() => put(main, h("p", { class: "quiet" }, "Loading …")), 150);
  main.setAttribute("aria-busy", "true");
  try {
    if (!same || !state.view.navigated) {
      const module = await import(`./views/${name}.js`);
      if (signal.aborted) return;
      const context = {
        study,
        address: (view, more) => address(study, view, more),
        get: (resource, more) => get(`/api/studies/${encodeURIComponent(study)}/${resource}`, more, state.abort.signal),
        go: (more) => { location.hash = address(study, name, more); },
      };
      Object.assign(state, { study, name, view: module.create(context) });
      await state.view.update(parameters);
      if (signal.aborted) return;
      clearTimeout(slow);
      put(main, state.view.element);
      if (!same && !first) { window.scrollTo(0, 0); main.focus({ preventScroll: true }); }
    } else {
      await state.view.navigated(parameters);
    }
  } catch (error) {
    if (error.name !== "AbortError" && !signal.aborted) { clearTimeout(slow); state.view = null; showError(error); }
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) main.setAttribute("aria-busy", "false");
  }
}

async function showStart(wanted) {
  state.view = null;
  main.setAttribute("aria-busy", "false");
  if (!wanted && state.studies.length === 1) { location.replace(address(state.studies[0].name, "overview")); return; }
  showFrame("", "overview");
  const module = await import("./views/studies.js");
  put(main, wanted ? empty(`This store has no study '${wanted}'`) : null, module.studies(state, address));
}

async function changed(names) {
  clearTimeout(state.timer);
  state.timer = setTimeout(async () => {
    try {
      await loadStudies();
      const { study, name, parameters } = route();
      if (!state.view) return await navigate();
      showFrame(study, name);
      if (names.includes(study) && state.view.live !== false) await state.view.update(parameters);
    } catch (error) {
      if (error.name !== "AbortError") console.info(`not updated: ${error.message}`);
    }
  }, 200);
}

function connected(on) {
  const shown = document.getElementById("connection");
  shown.className = `connection ${on ? "on" : "off"}`;
  put(shown, h("span", {}, on ? "live" : "no connection: is evolgrid ui still running?"));
}

async function start() {
  if (new URLSearchParams(location.search).has("token")) history.replaceState(null, "", `/${location.hash}`);
  window.addEventListener("hashchange", navigate);
  // the part after # is the address of a view
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
  try {
    await loadStudies();
    await navigate();
  } catch (error) {
    showError(error);
  }
  listen(changed, connected);
}

start();
