/**
 * Elements without markup: every text becomes a text node, so nothing a person typed is ever parsed as HTML.
 */

/** An element with attributes, `data` (dataset), `on…` listeners and children; null and false children are left out. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A small picture in the colour of the text, drawn by `path` in a square of 16; it says nothing by itself. */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["viewBox", "0 0 16 16"], ["class", "glyph"], ["aria-hidden", "true"]]) svg.setAttribute(name, value);
  svg.append(document.createElementNS(SVG, "path"));
  svg.firstChild.setAttribute("d", path);
  return svg;
}

/** The element with this id; the page's own markup always has it. */
export function byId(id) {
  return document.getElementById(id);
}

const CALM = window.matchMedia("(prefers-reduced-motion: reduce)");

/** Whether this person asked for less movement. */
export function prefersCalm() {
  return CALM.matches;
}

/** A short message at the foot of the page: `kind` is "note" or "error"; errors stay longer and interrupt readers. */
export function toast(text, kind = "note") {
  const dismiss = h("button", { type: "button", class: "toast-close", "aria-label": "Dismiss" }, "×");
  const element = h("div", { class: `toast toast-${kind}`, role: kind === "error" ? "alert" : "status" }, h("span", null, text), dismiss);
  const remove = () => element.remove();
  dismiss.addEventListener("click", remove);
  const region = byId("toasts");
  while (region.childElementCount >= 4) region.firstElementChild.remove();
  region.append(element);
  setTimeout(remove, kind === "error" ? 8000 : 4000);
}

/** Say something to screen readers only. */
export function announce(text) {
  byId("announcer").textContent = text;
}
