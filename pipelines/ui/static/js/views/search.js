// What the study's search has trained and skipped, at which risk, and its decisions.

import { empty, h, put, scrolling, table } from "../dom.js";
import { count, fixed, number } from "../format.js";

const REASONS = { start: "start", risk: "risk too high", rung: "partial trainings", finals: "finals: more seeds of the best", stop: "end" };

export function create(context) {
  const element = h("div");
  return {
    element,
    async update() {
      const { found, running, settings } = await context.get("search");
      put(element, h("div", { class: "lead" }, h("h1", {}, "Search"), found && h("span", {}, stateOf(found, running))), shown(found, running, settings));
    },
  };
}

function shown(found, running, settings) {
  if (!settings) return empty("This study has no search", "All cells of its grid are trained.");
  const of = `${count(settings.cells.length)} cells (student × ${settings.over.join(" × ")})`;
  if (!found) return empty("Nothing is decided yet", `The search is over ${of}. Its first decision follows when the priors, if it has any, are measured.`);
  return [groups(found, running, settings), grid(found, running, settings, of), rungs(found), priors(found), decisions(found)];
}

const stateOf = (found, running) => (found.finished ? pill("finished", "has stopped") : running ? pill("running", "running") : pill("unfinished", "not finished"));
const pill = (state, text) => h("span", { class: `pill ${state}` }, text);
const chance = (value) => (value > 0 && value < 0.001 ? "< 0.001" : fixed(value, 3));

function groups(found, running, settings) {
  const state = (one) => (found.finished ? pill("finished", "stopped") : one.risk <= settings.risk ? pill("finished", "risk reached") : running ? pill("running", "running") : pill("unfinished", "not finished"));
  const others = (one) => one.inseparable.filter((arm) => arm !== one.best).join(", ") || (found.finished && one.best ? "none" : "known at the end");
  return h("section", { class: "card" }, h("h2", {}, "Best arms"), table(
    [{ head: "Students" }, { head: "State" }, { head: "Best arm" }, { head: "Score", num: true }, { head: "Not separated by the paired test" }, { head: "Risk", num: true }, { head: "Next best" }],
    found.groups.map((one) => ({ cells: [one.students.join(", "), state(one), one.best ? h("strong", {}, one.best) : "–", fixed(one.trained[0]?.[1] ?? null, 2), others(one),
      chance(one.risk), one.trained.slice(1, 3).map(([arm, score]) => `${arm} ${fixed(score, 2)}`).join(", ") || "–"] })), { label: "Best arms" }),
  h("p", { class: "quiet small" }, `The risk is the probability that at least one arm that is not trained beats the best trained one by more than ${settings.epsilon}, by a model of the trained cells. It is an estimate, not a guarantee. The search stops at ${settings.risk}.`));
}

const STATES = {
  trained: "trained", training: "in training", asked: "asked for", waiting: "waiting", skipped: "skipped", failed: "failed",
};

// a cell that is not trained may still be, until the search has stopped
function kindOf(cell, found, running) {
  if (cell.state === "training") return running ? "training" : "asked";
  return cell.state === "skipped" && !found.finished ? "waiting" : cell.state;
}

function grid(found, running, settings, of) {
  const cells = new Map(found.cells.map((one) => [JSON.stringify([one.student, one.arm]), one]));
  const students = [...new Set(found.cells.map((one) => one.student))], arms = [...new Set(found.cells.map((one) => one.arm))];
  const kinds = found.cells.map((one) => kindOf(one, found, running));
  const totals = Object.entries(STATES).map(([kind, name]) => [kinds.filter((one) => one === kind).length, name]).filter(([number]) => number);
  const body = arms.map((arm) => h("tr", {}, h("th", { scope: "row" }, arm), students.map((student) => {
    const cell = cells.get(JSON.stringify([student, arm]));
    return h("td", {}, cell ? shownCell(cell, found, running) : h("div", { class: "none" }, "–"));
  })));
  return h("section", { class: "card" }, h("h2", {}, "Cells"), h("p", {}, `Of ${of}: ${totals.map(([number, name]) => `${count(number)} ${name}`).join(", ")}.`),
    scrolling("cells", h("table", { class: "heat" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, settings.over.join(" / ")), students.map((one) => h("th", { scope: "col" }, one)))), h("tbody", {}, body)), "Cells"),
    h("p", { class: "quiet small" }, `The chance is the probability that the arm beats the best trained one by more than ${settings.epsilon}.`));
}

function shownCell(cell, found, running) {
  const kind = kindOf(cell, found, running), group = found.groups.find((one) => one.students.includes(cell.student));
  const parts = found.rungs.map((rung, place) => [rung.percent, cell.partial[place]]).filter(([, score]) => score !== null);
  const best = group?.best === cell.arm, tied = !best && group?.inseparable.includes(cell.arm);
  const notes = [
    best && "best", tied && "not separated from the best", parts.map(([percent, score]) => `${fixed(score, 2)} on ${percent}`),
    cell.expected !== null && `${fixed(cell.expected, 2)} expected`, cell.risk !== null && `chance ${chance(cell.risk)}`,
  ].flat().filter(Boolean);
  const partial = parts.length && ["waiting", "skipped"].includes(kind);
  return h("div", { class: `cell ${partial ? "partial" : kind}${best ? " best" : ""}` }, h("b", {}, cell.score === null ? partial ? `partial, ${STATES[kind]}` : STATES[kind] : `${fixed(cell.score, 2)}`),
    cell.score !== null && h("small", {}, STATES[kind]), notes.map((text) => h("small", {}, text)));
}

function rungs(found) {
  if (!found.rungs.length) return null;
  const verdict = (one) => pill({ trusted: "finished", "not trusted": "stopped" }[one.state] ?? "waiting", one.state);
  return h("section", { class: "card" }, h("h2", {}, "Partial trainings"), table(
    [{ head: "Share of the pairs", num: true }, { head: "Finished", num: true }, { head: "Cells compared", num: true }, { head: "Spearman's rho", num: true }, { head: "Needed", num: true }, { head: "As a prior" }],
    found.rungs.map((one) => ({ cells: [one.percent, count(one.trained), one.cells ? count(one.cells) : "–", fixed(one.rho, 2), fixed(one.trust, 2), verdict(one)] })), { label: "Partial trainings" }),
  h("p", { class: "quiet small" }, `They count as ${fixed(found.partial_cost)} full trainings.`));
}

function priors(found) {
  if (!found.priors.length) return null;
  return h("section", { class: "card" }, h("h2", {}, "Quality of the priors, measured on the trained cells"), table(
    [{ head: "Prior" }, { head: "Student" }, { head: "Trained cells", num: true }, { head: "Spearman's rho", num: true }],
    found.priors.map((one) => ({ cells: [one.prior, one.student, count(one.cells), fixed(one.rho, 2)] })), { label: "Priors" }));
}

function decisions(found) {
  const share = (one) => (one.share === undefined ? "" : ` on ${number(100 * one.share, 4)} %`);
  const lines = (texts) => (texts.length ? h("ul", { class: "plain" }, texts.map((text) => h("li", {}, text))) : "–");
  return h("section", { class: "card" }, h("h2", {}, "Decisions, in order"), table(
    [{ head: "", num: true }, { head: "Reason" }, { head: "Trained next" }, { head: "Risk before it" }, { head: "Made from these new results" }],
    found.decisions.map((one) => ({ cells: [count(one.number), [REASONS[one.reason], one.rungs.map((text) => h("div", { class: "small" }, text))],
      [lines(one.cells), one.cells.length ? h("div", { class: "quiet small" }, `${count(one.room)} at once`) : null], lines(one.risks.map(([students, risk]) => `${students} ${chance(risk)}`)),
      lines([...one.scores.map((each) => `${each.arm} for ${each.student}${share(each)}: ${fixed(each.value, 2)}`), ...one.failed.map((text) => `${text}: failed`)])] })), { label: "Decisions" }));
}
