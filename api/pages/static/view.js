/**
 * The columns on screen. Each shows a growing prefix of its order: the first cards at once, the rest while the browser
 * is idle, and every later change touches only the cards it is about, however long the board is.
 */

import { STATUSES } from "./board.js";
import { draw, makeCard, STATUS_NAMES } from "./card.js";
import { h, prefersCalm } from "./dom.js";

const FIRST_CARDS = 40;
const CHUNK = 60;
const GLIDE = { duration: 220, easing: "cubic-bezier(.2,.7,.3,1)" };

const whenIdle = window.requestIdleCallback ?? ((work) => setTimeout(work, 16));

class Column {
  constructor(status, add) {
    this.status = status;
    this.drawn = 0;
    this.count = h("span", { class: "count", "aria-hidden": "true" });
    this.list = h("ul", { class: "cards", role: "list" });
    this.heading = h("h2", null, h("span", { class: "dot", "aria-hidden": "true" }), h("span", null, STATUS_NAMES[status]), this.count);
    const scroll = h("div", { class: "scroll" }, this.list);
    this.element = h("section", { class: "column", data: { status }, "aria-label": STATUS_NAMES[status] }, this.heading, scroll, add);
  }

  tally(total, limit) {
    this.count.textContent = limit ? `${total} / ${limit}` : String(total);
    this.count.dataset.full = String(Boolean(limit) && total >= limit);
    this.list.setAttribute("aria-label", `${STATUS_NAMES[this.status]}, ${total} ${total === 1 ? "task" : "tasks"}`);
  }
}

export class View {
  #columns = new Map();
  #filling = false;
  #tabStop = null;

  /** `makeAdd(status)` gives the form at the foot of a column. */
  constructor(root, makeAdd) {
    this.root = root;
    this.board = null;
    for (const status of STATUSES) this.#columns.set(status, new Column(status, makeAdd(status)));
    root.replaceChildren(...[...this.#columns.values()].map((column) => column.element));
    root.addEventListener("focusin", (event) => this.#keepTabStop(event.target.closest?.(".card-face")));
  }

  /** Show another board from scratch. */
  show(board) {
    this.board = board;
    this.#tabStop = null;
    for (const column of this.#columns.values()) {
      column.list.replaceChildren();
      column.drawn = 0;
      this.#extend(column, FIRST_CARDS);
      this.#tally(column.status);
    }
    this.#ensureTabStop();
    this.#fillLater();
  }

  /** Every card anew, for example when the names of members have arrived. */
  redraw() {
    for (const item of this.root.querySelectorAll(".card")) draw(item, this.board.task(item.dataset.task), this.board);
    for (const status of STATUSES) this.#tally(status);
  }

  /** One change of the board (see `Board.changed`). */
  change({ id, after, from, to, mine }) {
    const item = this.item(id);
    if (from === null && to === null) {
      if (item !== null) draw(item, after, this.board);
      return;
    }
    const start = item !== null && to !== null ? item.getBoundingClientRect() : null;
    const focused = item !== null && item.contains(document.activeElement);
    if (from !== null) this.#take(from, item);
    const shown = to === null ? null : this.#put(to, item, after);
    for (const place of [from, to]) if (place !== null) this.#tally(place.status);
    if (shown !== null) this.#greet(shown, start, mine);
    if (focused && shown !== null) shown.firstElementChild.focus({ preventScroll: !mine });
    this.#ensureTabStop();
    if (shown === null && to !== null) this.#fillLater();
  }

  item(id) {
    return this.root.querySelector(`.card[data-task="${CSS.escape(id)}"]`);
  }

  list(status) {
    return this.#columns.get(status).list;
  }

  /** Focus the card, drawing as many as that needs. */
  focus(id) {
    const task = this.board.task(id);
    if (task === undefined) return;
    const column = this.#columns.get(task.status);
    const index = this.board.columns[task.status].indexOf(id);
    if (index >= column.drawn) this.#extend(column, index + 1 - column.drawn);
    this.item(id)?.firstElementChild.focus();
  }

  #take({ status, index }, item) {
    const column = this.#columns.get(status);
    if (index >= column.drawn) return;
    column.drawn -= 1;
    item.remove();
  }

  /** Draw the card at its place, unless it belongs to the part that is not drawn yet. */
  #put({ status, index }, item, task) {
    const column = this.#columns.get(status);
    const wholeBefore = this.board.columns[status].length - 1 === column.drawn;
    if (index > column.drawn || (index === column.drawn && !wholeBefore)) return null;
    const shown = item ?? makeCard(task, this.board);
    if (item !== null) draw(item, task, this.board);
    column.list.insertBefore(shown, column.list.children[index] ?? null);
    column.drawn += 1;
    return shown;
  }

  #tally(status) {
    this.#columns.get(status).tally(this.board.columns[status].length, this.board.team?.wip_limits?.[status]);
  }

  #extend(column, amount) {
    const ids = this.board.columns[column.status].slice(column.drawn, column.drawn + amount);
    const cards = document.createDocumentFragment();
    for (const id of ids) cards.append(makeCard(this.board.task(id), this.board));
    column.list.append(cards);
    column.drawn += ids.length;
  }

  #fillLater() {
    if (this.#filling) return;
    this.#filling = true;
    whenIdle(() => {
      this.#filling = false;
      const short = [...this.#columns.values()].filter((column) => column.drawn < this.board.columns[column.status].length);
      for (const column of short) this.#extend(column, CHUNK);
      if (short.length > 0) this.#fillLater();
    });
  }

  /** Let the eye follow: glide from the old place, and glow when somebody else did it. */
  #greet(item, start, mine) {
    const face = item.firstElementChild;
    if (!mine) {
      face.classList.add("arrived");
      face.addEventListener("animationend", () => face.classList.remove("arrived"), { once: true });
    }
    if (start === null || prefersCalm() || document.hidden) return;
    const end = item.getBoundingClientRect();
    const [x, y] = [start.left - end.left, start.top - end.top];
    if (x !== 0 || y !== 0) face.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], GLIDE);
  }

  #keepTabStop(face) {
    if (!face || face === this.#tabStop) return;
    this.#tabStop?.setAttribute("tabindex", "-1");
    face.setAttribute("tabindex", "0");
    this.#tabStop = face;
  }

  #ensureTabStop() {
    if (this.#tabStop?.isConnected) return;
    this.#keepTabStop(this.root.querySelector(".card-face"));
  }
}
