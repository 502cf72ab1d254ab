/**
 * The columns of the board in a dialog: add, rename, limit, reorder and delete them. What is shown is what the board says;
 * it follows the feed, so that a change shows here once it is on the board.
 */

import { STATUS_NAMES } from "./card.js";
import { h } from "./dom.js";
import { sentence } from "./forms.js";

export class ColumnsDialog {
  #deleting = null;

  /** `change(work)` runs `work(api, path, options)` and comes back when the board shows what came of it. */
  constructor(change) {
    this.change = change;
    this.board = null;
    this.rows = h("ol", { class: "column-rows" });
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.name = h("input", { id: "new-column", type: "text", maxlength: "50", autocomplete: "off", placeholder: "Name" });
    this.category = h("select", { id: "new-category" }, ...Object.entries(STATUS_NAMES).map(([value, name]) => h("option", { value }, name)));
    const add = h("form", { class: "column-add", novalidate: true },
      h("div", { class: "field" }, h("label", { for: "new-column" }, "New column"), this.name),
      h("div", { class: "field" }, h("label", { for: "new-category" }, "Its tasks are"), this.category),
      h("button", { type: "submit", class: "primary" }, "Add"));
    add.addEventListener("submit", (event) => this.#add(event));
    const close = h("button", { type: "button", class: "icon", "aria-label": "Close", onclick: () => this.close() }, "×");
    const head = h("header", null, h("h2", { id: "columns-title" }, "Columns"), close);
    this.dialog = h("dialog", { class: "columns-dialog", "aria-labelledby": "columns-title" }, head, this.rows, this.wrong, add);
    document.body.append(this.dialog);
  }

  open(board) {
    this.#deleting = null;
    this.wrong.textContent = "";
    this.board = board;
    this.#draw();
    this.dialog.showModal();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  /** The board's columns have changed. */
  follow(board) {
    if (this.dialog.open && board === this.board) this.#draw();
  }

  /** The rows anew; the focus stays on the same control of the same column. */
  #draw() {
    const focused = document.activeElement?.closest?.(".column-row") ? document.activeElement.id : "";
    this.rows.replaceChildren(...this.board.order.map((column, index) => this.#row(column, index)));
    if (focused !== "") document.getElementById(focused)?.focus();
  }

  #row(column, index) {
    const { id, name, category, wip_limit: limit, closing_into: closing } = column;
    const title = h("input", { id: `name-${id}`, type: "text", maxlength: "50", value: name, "aria-label": `Name of ${name}`, disabled: closing });
    title.addEventListener("change", () => this.#patch(id, { name: title.value.trim() }));
    const most = h("input", { id: `most-${id}`, type: "number", min: "1", max: "10000", step: "1", value: limit ?? "", placeholder: "no limit", "aria-label": `Most tasks in ${name}`, disabled: closing });
    most.addEventListener("change", () => this.#limit(id, most));
    const row = h("li", { class: "column-row", data: { column: id, status: category } },
      h("span", { class: "dot", title: STATUS_NAMES[category] }), title, most,
      this.#button(`left-${id}`, "↑", `Move ${name} up`, index === 0, () => this.#move(id, { before_id: this.board.order[index - 1].id })),
      this.#button(`right-${id}`, "↓", `Move ${name} down`, index === this.board.order.length - 1, () => this.#move(id, { after_id: this.board.order[index + 1].id })),
      this.#button(`delete-${id}`, "×", `Delete ${name}`, Boolean(closing), () => this.#askDelete(column)));
    if (closing) row.append(h("p", { class: "help" }, "Its tasks are on their way to another column."));
    else if (this.#deleting === id) row.append(this.#deletion(column));
    return row;
  }

  #button(id, text, label, disabled, act) {
    return h("button", { id, type: "button", class: "icon", "aria-label": label, title: label, disabled, onclick: act }, text);
  }

  /** An empty column goes at once; of one with tasks it is asked where they go. */
  #askDelete(column) {
    if (this.board.count(column.id) === 0) {
      this.#delete(column.id, null);
      return;
    }
    this.#deleting = column.id;
    this.#draw();
    document.getElementById(`target-${column.id}`)?.focus();
  }

  #deletion({ id, name, category }) {
    const others = this.board.order.filter((other) => other.id !== id && !other.closing_into);
    const target = h("select", { id: `target-${id}` }, ...others.map((other) => h("option", { value: other.id }, other.name)));
    target.value = (others.find((other) => other.category === category) ?? others[0])?.id ?? "";
    const go = h("button", { type: "button", class: "destructive", onclick: () => this.#delete(id, target.value) }, "Delete");
    const stay = h("button", { type: "button", class: "quiet", onclick: () => { this.#deleting = null; this.#draw(); } }, "Keep it");
    const count = this.board.count(id);
    const question = `${count} ${count === 1 ? "task goes" : "tasks go"} from ${name} to`;
    return h("div", { class: "column-deletion" }, h("label", { for: target.id }, question), target, go, stay);
  }

  async #add(event) {
    event.preventDefault();
    const name = this.name.value.trim();
    if (name === "") {
      this.name.focus();
      return;
    }
    const made = await this.#run((api, path, options) => api.post(path, { name, category: this.category.value }, options));
    if (made) this.name.value = "";
  }

  /** What the server could only refuse with its own words is said here, and the row shows what is true. */
  #limit(id, most) {
    if (most.validity.valid) return this.#patch(id, { wip_limit: most.value === "" ? null : Number(most.value) });
    this.wrong.textContent = `A limit is a whole number from ${most.min} to ${most.max}; leave it empty for no limit.`;
    return this.#draw();
  }

  #patch(id, patch) {
    return this.#run((api, path, options) => api.patch(`${path}/${id}`, patch, options));
  }

  #move(id, target) {
    return this.#run((api, path, options) => api.post(`${path}/${id}/move`, target, options));
  }

  #delete(id, target) {
    this.#deleting = null;
    const query = target === null ? "" : `?move_to=${target}`;
    return this.#run((api, path, options) => api.delete(`${path}/${id}${query}`, options));
  }

  /** Whether it was made; what was refused is said, and the rows show what is true. */
  async #run(work) {
    this.wrong.textContent = "";
    try {
      await this.change(work);
      return true;
    } catch (error) {
      this.wrong.textContent = sentence(error.message);
      return false;
    } finally {
      if (this.dialog.open) this.#draw();
    }
  }
}
