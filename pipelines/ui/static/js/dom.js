// Builds elements. Text always becomes text nodes: nothing of a store is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";
// control characters, invisible marks and everything that changes the direction of text
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(3).filter((one) => one !== undefined && one !== null && one !== false));
  return element;
}

// the text of a row: isolated from its surroundings, with its hidden characters made visible
export function visible(text, tag = "span") {
  const shown = String(text ?? "");
  const parts = [];
  let last = 0;
  for (const match of shown.matchAll(HIDDEN)) {
    parts.push(shown.slice(last, match.index), control(match[0]));
    last = match.index + 1;
  }
  parts.push(shown.slice(last));
  return h(tag, { class: "text", dir: "auto" }, parts);
}

function control(character) {
  const code = character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
  return h("span", { class: "ctrl" }, `U+${code}`);
}

// replaces the content of an element; what has the focus keeps it if its data-focus is there again
export function put(element, ...children) {
  const active = element.contains(document.activeElement) ? document.activeElement : null;
  const key = active?.closest("[data-focus]")?.dataset.focus;
  const scrolled = [...element.querySelectorAll("[data-scroll]")].map((one) => [one.dataset.scroll, one.scrollLeft, one.scrollTop]);
  element.replaceChildren(...children.flat(3).filter((one) => one !== undefined && one !== null && one !== false));
  for (const [name, left, top] of scrolled) {
    const again = [...element.querySelectorAll("[data-scroll]")].find((one) => one.dataset.scroll === name);
    if (again) Object.assign(again, { scrollLeft: left, scrollTop: top });
  }
  if (key) [...element.querySelectorAll("[data-focus]")].find((one) => one.dataset.focus === key)?.focus();
}

export function select(label, options, value, change) {
  const chosen = h("select", { onchange: (event) => change(event.target.value) });
  for (const [name, text] of options) {
    const option = h("option", { value: name }, text);
    option.selected = String(name) === String(value ?? "");
    chosen.append(option);
  }
  return h("label", {}, label, chosen);
}

export function table(columns, rows, attributes = {}) {
  const head = columns.map((one) => h("th", { scope: "col", class: one.num ? "num" : null, "aria-sort": one.sort }, one.head));
  return scrolling(attributes.name ?? columns.map((one) => one.name ?? "").join(), h("table", { class: attributes.class },
    attributes.caption && h("caption", {}, attributes.caption),
    h("thead", {}, h("tr", {}, head)),
    h("tbody", {}, rows.map((row) => h("tr", { class: row.class }, columns.map((one, place) =>
      h("td", { class: [one.num && "num", one.class].filter(Boolean).join(" ") || null }, row.cells[place])))))), attributes.label);
}

// wide content scrolls in its own region, which the keyboard can reach
export function scrolling(name, content, label = "Table") {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label, "data-scroll": name,
    "data-focus": `region ${label}` }, content);
}

export function meter(share, state = "", label = "") {
  const part = Math.max(0, Math.min(1, share || 0));
  return h("div", { class: `meter ${state}`, role: "img", "aria-label": label || `${Math.round(100 * part)} %` },
    h("div", { "--share": part }));
}

export function pill(state) {
  return h("span", { class: `pill ${state}` }, state === "lost" ? "all rows failed" : state);
}

export function empty(title, ...about) {
  return h("div", { class: "card empty" }, h("strong", {}, title), about);
}
