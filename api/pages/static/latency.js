/** How long an endpoint took: a plot of the newest requests, and the same in words for whoever does not see it. */

import { h } from "./dom.js";
import { spent } from "./webhook-words.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
const MARGIN = { left: 56, right: 8, top: 8, bottom: 8 };
const LINES_MS = [1, 10, 100, 1_000, 10_000];
const LONGEST_MS = 20_000;
const MOST = 200;

export class LatencyPlot {
  #points = [];
  #width = 0;

  constructor() {
    this.words = h("figcaption", { class: "help" });
    this.place = h("div", { class: "plot", "aria-hidden": "true" });
    this.element = h("figure", { class: "latency" }, this.place, this.words);
    this.observer = new ResizeObserver(([{ contentRect }]) => this.#fit(contentRect.width));
    this.observer.observe(this.place);
  }

  stop() {
    this.observer.disconnect();
  }

  /** Deliveries, newest first; those without an attempt that has ended say nothing. */
  show(deliveries) {
    const timed = deliveries.filter((one) => one.last_duration_ms !== null).slice(0, MOST).toReversed();
    this.#points = timed.map((one) => ({ ms: one.last_duration_ms, good: one.last_status !== null && one.last_status >= 200 && one.last_status < 300, title: titleOf(one) }));
    this.element.hidden = this.#points.length === 0;
    this.words.textContent = inWords(this.#points);
    this.#draw();
  }

  #fit(width) {
    if (width === this.#width) return;
    this.#width = width;
    this.#draw();
  }

  #draw() {
    if (this.#width === 0 || this.#points.length === 0) return;
    const inner = this.#width - MARGIN.left - MARGIN.right;
    const step = inner / Math.max(this.#points.length, 20);
    const svg = shape("svg", { viewBox: `0 0 ${this.#width} ${HEIGHT}`, width: this.#width, height: HEIGHT, focusable: "false" });
    for (const ms of LINES_MS) {
      svg.append(shape("line", { class: "plot-line", x1: MARGIN.left, x2: this.#width - MARGIN.right, y1: height(ms), y2: height(ms) }));
      svg.append(shape("text", { class: "plot-text", x: MARGIN.left - 8, y: height(ms) + 4, "text-anchor": "end" }, ms < 1000 ? `${ms} ms` : `${ms / 1000} s`));
    }
    this.#points.forEach((point, index) => {
      const right = this.#width - MARGIN.right - (this.#points.length - index - 0.5) * step;
      svg.append(mark(point, right, height(point.ms)));
    });
    this.place.replaceChildren(svg);
  }
}

/** A dot for what was delivered, a cross for what was not: they differ in more than their colour. */
function mark({ good, title }, x, y) {
  const made = good
    ? shape("circle", { class: "plot-good", cx: x, cy: y, r: 3.2 })
    : shape("path", { class: "plot-bad", d: `M${x - 3.5} ${y - 3.5}l7 7m0-7l-7 7` });
  made.append(shape("title", {}, title));
  return made;
}

/** Where a duration stands, by its logarithm: 1 ms at the bottom. */
function height(ms) {
  const share = Math.log10(Math.min(Math.max(ms, 1), LONGEST_MS)) / Math.log10(LONGEST_MS);
  return HEIGHT - MARGIN.bottom - share * (HEIGHT - MARGIN.top - MARGIN.bottom);
}

function titleOf({ event_type: type, seq, last_status: status, last_error: error, last_duration_ms: ms }) {
  return `${type}${seq === 0 ? "" : ` ${seq}`}: ${status ?? error}, ${spent(ms)}`;
}

function inWords(points) {
  if (points.length === 0) return "";
  const sorted = points.map((point) => point.ms).toSorted((a, b) => a - b);
  const at = (share) => spent(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]);
  const bad = points.filter((point) => !point.good).length;
  const how = bad === 0 ? "none failed" : `${bad} failed, marked by crosses`;
  const count = points.length === 1 ? "The last request" : `The last requests of ${points.length} deliveries`;
  return points.length === 1 ? `${count} took ${at(0)}${bad === 0 ? "" : " and failed"}.` : `${count}, newest on the right: half within ${at(0.5)}, 95 % within ${at(0.95)}, the slowest ${at(1)}; ${how}.`;
}

function shape(name, attributes, text = null) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  if (text !== null) made.textContent = text;
  return made;
}
