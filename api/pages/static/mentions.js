/** A list of members under a text box, as soon as somebody types `@`: walked by arrow keys, taken by Enter, Tab or a click. */

import { avatar } from "./card.js";
import { h } from "./dom.js";

const SHOWN = 6;
const LONGEST = 40;
let lists = 0;

/** `members()` gives the members by id. The names go into the text; the server finds out whom they mean. */
export function offerNames(box, members) {
  new Names(box, members);
}

class Names {
  #found = [];
  #at = 0;

  constructor(box, members) {
    lists += 1;
    this.box = box;
    this.members = members;
    this.list = h("ul", { class: "names", role: "listbox", "aria-label": "Members", id: `names-${lists}`, hidden: true });
    box.after(this.list);
    box.setAttribute("aria-autocomplete", "list");
    box.setAttribute("aria-controls", this.list.id);
    box.addEventListener("input", () => this.#look());
    box.addEventListener("click", () => this.#look());
    box.addEventListener("blur", () => this.#hide());
    box.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** What stands between the last `@` that begins a word and the caret; null when there is none. */
  #typed() {
    const before = this.box.value.slice(0, this.box.selectionStart);
    const at = before.lastIndexOf("@");
    const begun = at >= 0 && !/[\p{L}\p{N}\\]/u.test(before[at - 1] ?? "");
    const typed = before.slice(at + 1);
    return begun && typed.length <= LONGEST && !typed.includes("\n") ? typed : null;
  }

  #look() {
    const typed = this.#typed()?.toLocaleLowerCase();
    const all = typed === undefined ? [] : [...this.members().values()].map(({ user_id: id, name }) => ({ id, name }));
    const fits = ({ name }) => name.toLocaleLowerCase().split(/\s+/u).some((_, n, words) => words.slice(n).join(" ").startsWith(typed));
    this.#found = all.filter(fits).toSorted((a, b) => a.name.localeCompare(b.name)).slice(0, SHOWN);
    this.#at = 0;
    this.#draw();
  }

  #draw() {
    const options = this.#found.map(({ id, name }, n) => {
      const chosen = n === this.#at;
      const option = h("li", { role: "option", id: `${this.list.id}-${n}`, "aria-selected": String(chosen) }, avatar(name, id), name);
      // The box keeps the focus: a press would take it away before the click.
      option.addEventListener("mousedown", (event) => {
        event.preventDefault();
        this.#take(n);
      });
      return option;
    });
    this.list.replaceChildren(...options);
    this.list.hidden = options.length === 0;
    if (this.list.hidden) this.box.removeAttribute("aria-activedescendant");
    else this.box.setAttribute("aria-activedescendant", options[this.#at].id);
  }

  #hide() {
    this.#found = [];
    this.#draw();
  }

  #onKey(event) {
    if (this.#found.length === 0 || event.ctrlKey || event.metaKey || event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) this.#at = (this.#at + step + this.#found.length) % this.#found.length;
    else if (event.key !== "Enter" && event.key !== "Tab" && event.key !== "Escape") return;
    event.preventDefault();
    if (step !== undefined) this.#draw();
    else if (event.key === "Escape") this.#hide();
    else this.#take(this.#at);
  }

  #take(n) {
    const end = this.box.selectionStart;
    this.box.setRangeText(`${this.#found[n].name} `, end - this.#typed().length, end, "end");
    this.box.dispatchEvent(new Event("input", { bubbles: true }));
    this.#hide();
  }
}
