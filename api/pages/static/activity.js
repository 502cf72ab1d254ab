/** What happened to the open task, newest first, and a way back from what the reader has done. */

import { avatar } from "./card.js";
import { announce, byId, h } from "./dom.js";
import { pressing } from "./pressing.js";
import { moment } from "./shell.js";

const PAGE = 10;

export class Activity {
  #team = null;
  #task = null;
  #items = [];
  #cursor = null;
  #loading = null;
  #again = false;

  constructor(api, me) {
    this.api = api;
    this.me = me;
    this.list = byId("activity");
    this.note = byId("activity-note");
    this.more = byId("activity-more");
    pressing(this.more, this.note, () => this.#loadMore());
  }

  /** Begin with another task of the team. Rejects when its activity cannot be loaded. */
  async open(team, task) {
    [this.#team, this.#task] = [team, task];
    [this.#items, this.#cursor] = [[], null];
    this.note.textContent = "";
    this.list.replaceChildren();
    await this.refresh();
  }

  close() {
    this.#task = null;
    this.list.replaceChildren();
  }

  redraw() {
    this.#draw();
  }

  /** Load the newest page anew; once more when something happened meanwhile. */
  refresh() {
    this.#again = this.#loading !== null;
    this.#loading ??= this.#loadNewest().finally(() => {
      this.#loading = null;
      if (this.#again) return this.refresh();
      return undefined;
    });
    return this.#loading;
  }

  async #loadNewest() {
    const task = this.#task;
    const page = await this.#page(null);
    if (task === this.#task) this.#take(page);
    else if (this.#task !== null) this.#again = true;
  }

  /** Join a newest page to what is shown; where something is missing between them, it begins anew. */
  #take({ items, next_cursor: cursor }) {
    const oldest = items.at(-1)?.seq ?? 0;
    const joins = this.#items.some(({ seq }) => seq >= oldest);
    const older = joins ? this.#items.filter(({ seq }) => seq < oldest) : [];
    if (!joins || older.length === 0) this.#cursor = cursor;
    this.#items = [...items, ...older];
    this.#draw();
  }

  async #page(cursor) {
    const query = new URLSearchParams({ limit: PAGE, ...(cursor === null ? {} : { cursor }) });
    const { data } = await this.api.get(`/v1/tasks/${this.#task}/activity?${query}`, { team: this.#team.team.id });
    return data;
  }

  async #loadMore() {
    const [task, last] = [this.#task, this.#items.at(-1)?.seq];
    const page = await this.#page(this.#cursor);
    if (task !== this.#task) return;
    this.#items.push(...page.items.filter(({ seq }) => seq < last));
    this.#cursor = page.next_cursor;
    this.#draw();
    if (this.#cursor === null) this.list.lastElementChild?.focus();
  }

  #draw() {
    const focused = this.list.contains(document.activeElement) ? document.activeElement.closest("li").dataset.seq : null;
    this.list.replaceChildren(...this.#items.map((item) => this.#itemOf(item)));
    this.more.hidden = this.#cursor === null;
    if (focused === null) return;
    const item = [...this.list.children].find(({ dataset }) => dataset.seq === focused);
    (item?.querySelector("button") ?? byId("activity-heading")).focus();
  }

  #itemOf(item) {
    const { actor, sentence } = item;
    const words = h("div", { class: "happened-words" }, h("span", null, sentence), moment(item.at));
    const seq = String(item.seq);
    return h("li", { class: "happened", tabindex: "-1", data: { seq } }, avatar(actor.name, actor.id), words, this.#undoOf(item));
  }

  #undoOf(item) {
    const mine = item.actor.id === this.me().id && item.undoable;
    if (!mine || !this.#team.mayWrite) return null;
    if (this.#isTakenBack(item)) return h("span", { class: "help" }, "Taken back");
    const button = h("button", { type: "button", class: "quiet", "aria-label": `Undo: ${item.sentence}` }, "Undo");
    return pressing(button, this.note, () => this.#undo(item));
  }

  /** Whether the task is by now as it was before: there is nothing left that undo could do. */
  #isTakenBack({ changes }) {
    const task = this.#team.board.confirmed(this.#task);
    return task !== undefined && changes.length > 0 && changes.every(({ field, from }) => sameValue(task[field], from));
  }

  async #undo({ seq }) {
    const task = this.#task;
    await this.api.post(`/v1/tasks/${task}/undo`, { seq }, { team: this.#team.team.id });
    announce("Taken back.");
    if (task === this.#task) await this.refresh();
  }
}

/** A field of the task against one of a change, where ids come with their names. */
function sameValue(now, then) {
  if (Array.isArray(then)) return now.length === then.length && then.every((one) => now.includes(one.id ?? one));
  return (now ?? null) === (then?.id ?? then ?? null);
}
