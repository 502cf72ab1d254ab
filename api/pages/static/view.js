/**
 * The columns on screen. Each shows a growing prefix of its order: the first cards at once, others that are loaded while
 * the browser is idle, the next page when the foot of the column comes into sight. Every change touches only the cards it
 * is about, however long the board is.
 */

import { draw, makeCard } from "./card.js";
import { h, prefersCalm } from "./dom.js";
import { Groups } from "./groups.js";

const FIRST_CARDS = 40;
const CHUNK = 60;
const GLIDE = { duration: 220, easing: "cubic-bezier(.2,.7,.3,1)" };

const whenIdle = window.requestIdleCallback ?? ((work) => setTimeout(work, 16));

/** How far below the screen the foot of a column may be when the next page is asked for. */
const AHEAD = "600px";

class Column {
  constructor(id, add, more) {
    this.id = id;
    this.drawn = 0;
    this.more = h("button", { type: "button", class: "more quiet", hidden: true, onclick: more });
    this.count = h("span", { class: "count", "aria-hidden": "true" });
    this.cards = new Groups();
    this.name = h("span", { class: "column-name" });
    this.heading = h("h2", null, h("span", { class: "dot", "aria-hidden": "true" }), this.name, this.count);
    const scroll = h("div", { class: "scroll" }, this.cards.element, this.more);
    this.sight = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && more(), { root: scroll, rootMargin: AHEAD });
    this.element = h("section", { class: "column", data: { column: id } }, this.heading, scroll, add);
  }

  /** What the server says of the column, and how many tasks it has. */
  tally({ name, category, wip_limit: limit, closing_into: closing }, total) {
    this.name.textContent = name;
    this.element.setAttribute("aria-label", name);
    this.element.dataset.status = category;
    this.element.dataset.closing = String(Boolean(closing));
    this.count.textContent = limit ? `${total} / ${limit}` : String(total);
    this.count.dataset.full = String(Boolean(limit) && total >= limit);
    this.cards.element.setAttribute("aria-label", `${name}, ${total} ${total === 1 ? "task" : "tasks"}`);
  }

  /** Offer the next page while cards are left `below`; with `watch`, load it as soon as its button is in sight. */
  offer(below, watch) {
    this.more.hidden = below === 0;
    this.more.textContent = `Show more (${below})`;
    this.sight.unobserve(this.more);
    if (below > 0 && watch) this.sight.observe(this.more);
  }
}

export class View {
  #columns = new Map();
  #filling = false;
  #tallying = false;
  #tabStop = null;

  /** `makeAdd(id)` gives the form at the foot of a column; `more(id)` loads the next page, and says whether it could. */
  constructor(root, makeAdd, more) {
    this.root = root;
    this.board = null;
    this.loadMore = more;
    this.makeAdd = makeAdd;
    root.addEventListener("focusin", (event) => this.#keepTabStop(event.target.closest?.(".card-face")));
  }

  /** Show a board from scratch: another one, or one whose columns have changed. */
  show(board) {
    const focused = this.board === board ? document.activeElement?.closest?.(".card")?.dataset.task : undefined;
    this.board = board;
    this.#tabStop = null;
    const before = this.#columns;
    this.#columns = new Map(board.order.map(({ id }) => [id, before.get(id) ?? this.#column(id)]));
    this.root.replaceChildren(...[...this.#columns.values()].map((column) => column.element));
    for (const column of this.#columns.values()) {
      column.cards.clear();
      column.drawn = 0;
      this.#extend(column, FIRST_CARDS);
      this.#tally(column);
      this.#offer(column);
    }
    this.#ensureTabStop();
    this.#fillLater();
    if (focused !== undefined) this.focus(focused);
  }

  #column(id) {
    return new Column(id, this.makeAdd(id), () => this.more(id));
  }

  /** Every card anew, for example when the names of members have arrived. */
  redraw() {
    for (const item of this.root.querySelectorAll(".card")) draw(item, this.board.task(item.dataset.task), this.board);
    this.retitle();
  }

  /** The names, limits and numbers of the columns anew. */
  retitle() {
    for (const column of this.#columns.values()) this.#tally(column);
  }

  /** One change of the board (see `Board.changed`). */
  change({ id, after, from, to, mine }) {
    const item = this.item(id);
    this.#retally();
    if (from === null && to === null) {
      if (item !== null) draw(item, after, this.board);
      return;
    }
    const start = item !== null && to !== null ? item.getBoundingClientRect() : null;
    const focused = item !== null && item.contains(document.activeElement);
    if (from !== null) this.#take(from, item);
    const shown = to === null ? null : this.#put(to, item, after);
    if (shown !== null) this.#greet(shown, start, mine);
    if (focused && shown !== null) shown.firstElementChild.focus({ preventScroll: !mine });
    this.#ensureTabStop();
    if (shown === null && to !== null) this.#fillLater();
  }

  item(id) {
    return this.root.querySelector(`.card[data-task="${CSS.escape(id)}"]`);
  }

  /** The cards of a column, as they are grouped on the screen. */
  cards(id) {
    return this.#columns.get(id).cards;
  }

  /** Load and draw the next page of a column, if there is one. */
  async more(id) {
    const column = this.#columns.get(id);
    const { board } = this;
    column.more.disabled = true;
    const loaded = await this.loadMore(id);
    column.more.disabled = false;
    if (this.board !== board || this.#columns.get(id) !== column) return;
    this.#tally(column);
    this.#offer(column, loaded);
    this.#fillLater();
  }

  /** Focus the card, drawing as many as that needs. */
  focus(id) {
    const task = this.board.task(id);
    if (task === undefined) return;
    const column = this.#columns.get(task.column_id);
    const index = this.board.columns[task.column_id].indexOf(id);
    if (index >= column.drawn) this.#extend(column, index + 1 - column.drawn);
    this.item(id)?.firstElementChild.focus();
  }

  #take({ column: id, index }, item) {
    const column = this.#columns.get(id);
    if (index >= column.drawn) return;
    column.drawn -= 1;
    column.cards.remove(item);
  }

  /** Draw the card at its place, unless it belongs to the part that is not drawn yet. */
  #put({ column: id, index }, item, task) {
    const column = this.#columns.get(id);
    const wholeBefore = this.board.columns[id].length - 1 === column.drawn;
    if (index > column.drawn || (index === column.drawn && !wholeBefore)) return null;
    const shown = item ?? makeCard(task, this.board);
    if (item !== null) draw(item, task, this.board);
    column.cards.insert(shown, index);
    column.drawn += 1;
    return shown;
  }

  #tally(column) {
    const described = this.board.column(column.id);
    if (described !== undefined) column.tally(described, this.board.count(column.id));
  }

  /** Also a change of a task that is not shown changes how many there are. Once for all changes of this moment. */
  #retally() {
    if (this.#tallying) return;
    this.#tallying = true;
    queueMicrotask(() => {
      this.#tallying = false;
      for (const column of this.#columns.values()) {
        this.#tally(column);
        this.#offer(column);
      }
    });
  }

  /** The next page is offered below the last card, once all that are loaded are drawn; `watch`: it may load by itself. */
  #offer(column, watch = true) {
    const { board } = this;
    const drawn = column.drawn === board.columns[column.id].length;
    const below = drawn && !board.whole(column.id) ? Math.max(1, board.count(column.id) - column.drawn) : 0;
    column.offer(below, watch);
  }

  #extend(column, amount) {
    const ids = this.board.columns[column.id].slice(column.drawn, column.drawn + amount);
    column.cards.append(ids.map((id) => makeCard(this.board.task(id), this.board)));
    column.drawn += ids.length;
  }

  #fillLater() {
    if (this.#filling) return;
    this.#filling = true;
    whenIdle(() => {
      this.#filling = false;
      const short = [...this.#columns.values()].filter((column) => column.drawn < this.board.columns[column.id].length);
      for (const column of short) {
        this.#extend(column, CHUNK);
        this.#offer(column);
      }
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
