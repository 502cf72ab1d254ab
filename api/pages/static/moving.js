/**
 * Moving cards: by drag and drop with a line where the card would land, or by keyboard (arrows walk, Shift+arrows move).
 * Both ask `move(id, column, index)`, where `index` counts the column's cards without the moved one.
 */

import { h } from "./dom.js";

const KIND = "application/x-taskforge-task";

/** Pixels between two cards; the stylesheet says the same. */
const GAP = 8;

export class Moving {
  #dragged = null;
  #target = null;
  #frame = 0;

  /** `actions`: move(id, column, index), open(id), mayWrite(). */
  constructor(view, actions) {
    this.view = view;
    this.actions = actions;
    this.line = h("div", { class: "drop-line", "aria-hidden": "true" });
    const root = view.root;
    root.addEventListener("dragstart", (event) => this.#onStart(event));
    root.addEventListener("dragover", (event) => this.#onOver(event));
    root.addEventListener("drop", (event) => this.#onDrop(event));
    root.addEventListener("dragend", () => this.#end());
    root.addEventListener("keydown", (event) => this.#onKey(event));
    root.addEventListener("click", (event) => {
      const item = event.target.closest(".card");
      if (item !== null) actions.open(item.dataset.task);
    });
  }

  #onStart(event) {
    const item = event.target.closest?.(".card");
    if (!item || !this.actions.mayWrite()) {
      event.preventDefault();
      return;
    }
    this.#dragged = item.dataset.task;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData(KIND, this.#dragged);
    // The browser takes the drag picture from the element as it is now; fade the original only afterwards.
    requestAnimationFrame(() => item.classList.add("lifted"));
  }

  #onOver(event) {
    const section = event.target.closest(".column");
    if (this.#dragged === null || section === null) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "move";
    const { clientY } = event;
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#aim(section.dataset.column, clientY));
  }

  #onDrop(event) {
    const section = event.target.closest(".column");
    if (this.#dragged === null || section === null) return;
    event.preventDefault();
    cancelAnimationFrame(this.#frame);
    const id = this.#dragged;
    this.#aim(section.dataset.column, event.clientY);
    const { column, index } = this.#target;
    this.#end();
    this.actions.move(id, column, index);
  }

  #end() {
    cancelAnimationFrame(this.#frame);
    this.line.remove();
    for (const item of this.view.root.querySelectorAll(".lifted")) item.classList.remove("lifted");
    for (const section of this.view.root.querySelectorAll(".aimed")) section.classList.remove("aimed");
    this.#dragged = null;
    this.#target = null;
  }

  /** Where the card would land under the pointer, and the line that says so. */
  #aim(column, clientY) {
    if (this.#dragged === null) return;
    const cards = this.view.cards(column);
    const index = cards.countAbove(clientY);
    this.#draw(cards, index);
    this.#target = { column, index: this.#withoutDragged(column, index) };
  }

  /** The line lies over the gap beside the list, so that aiming shifts no card. */
  #draw(cards, index) {
    const [previous, next] = [cards.at(index - 1), cards.at(index)];
    const scroll = cards.element.parentElement;
    const above = scroll.getBoundingClientRect().top - scroll.scrollTop;
    const top = previous ? previous.getBoundingClientRect().bottom - above - GAP : next ? next.getBoundingClientRect().top - above - GAP : 0;
    if (this.line.parentElement !== scroll) scroll.append(this.line);
    this.line.style.transform = `translateY(${top + GAP / 2 - 1}px)`;
    for (const section of this.view.root.querySelectorAll(".aimed")) section.classList.remove("aimed");
    scroll.parentElement.classList.add("aimed");
  }

  #withoutDragged(column, index) {
    const own = this.view.board.columns[column].indexOf(this.#dragged);
    return own !== -1 && own < index ? index - 1 : index;
  }

  #onKey(event) {
    const item = event.target.closest?.(".card");
    if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
    const id = item.dataset.task;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.actions.open(id);
      return;
    }
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    if (event.shiftKey) this.#shift(id, ...step);
    else this.#walk(id, ...step);
  }

  #walk(id, across, along) {
    const { board } = this.view;
    const { column_id: column } = board.task(id);
    const at = board.columns[column].indexOf(id);
    if (across === 0) {
      this.#focusNext(board, id, along);
      return;
    }
    const order = board.order.map((one) => one.id);
    for (let other = order.indexOf(column) + across; other >= 0 && other < order.length; other += across) {
      const ids = board.columns[order[other]];
      if (ids.length === 0) continue;
      this.view.focus(ids[Math.min(at, ids.length - 1)]);
      return;
    }
  }

  async #focusNext(board, id, along) {
    const beside = () => {
      const ids = board.columns[board.task(id)?.column_id] ?? [];
      return ids[ids.indexOf(id) + along];
    };
    if (along > 0 && beside() === undefined) await this.view.more(board.task(id).column_id);
    const next = beside();
    if (next !== undefined && this.view.board === board) this.view.focus(next);
  }

  #shift(id, across, along) {
    const { board } = this.view;
    const { column_id: column } = board.task(id);
    const at = board.columns[column].indexOf(id);
    const order = board.order.map((one) => one.id);
    const target = order[order.indexOf(column) + across];
    const length = target === undefined ? 0 : board.columns[target].length - (across === 0 ? 1 : 0);
    const index = across === 0 ? at + along : Math.min(at, length);
    const last = target !== undefined && board.whole(target) ? length : Infinity;
    if (target === undefined || index < 0 || index > last || !this.actions.mayWrite()) return;
    this.actions.move(id, target, index);
    this.view.focus(id);
  }
}
