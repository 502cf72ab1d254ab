/**
 * What is said about the open task, newest last, and a box to say something. The server makes the HTML; here it passes
 * through `fragmentOf` alone.
 */

import { avatar } from "./card.js";
import { announce, byId, h } from "./dom.js";
import { confirmed } from "./dialogs.js";
import { fragmentOf } from "./markup.js";
import { offerNames } from "./mentions.js";
import { pressing } from "./pressing.js";
import { moment } from "./shell.js";

const PAGE = 20;

export class Comments {
  #team = null;
  #task = null;
  #shown = new Map();
  #cursor = null;

  /** `api` is the door to the server; `me()` the person who looks. */
  constructor(api, me) {
    this.api = api;
    this.me = me;
    this.list = byId("comments");
    this.box = byId("comment-body");
    this.note = byId("comment-note");
    this.trouble = byId("comments-note");
    this.send = byId("comment-send");
    this.earlier = byId("comments-earlier");
    offerNames(this.box, () => this.#team.board.members);
    pressing(this.earlier, this.trouble, () => this.#loadEarlier());
    this.send.addEventListener("click", () => this.#say());
    this.box.addEventListener("input", () => this.#offer());
    this.box.addEventListener("keydown", (event) => onSend(event, () => this.#say()));
  }

  /** What is written and not sent, as a sentence that says what sends it; empty when there is nothing. */
  get unsent() {
    if (this.box.value.trim() !== "") return "Your comment is not sent: Comment sends it.";
    const edited = [...this.list.querySelectorAll("textarea")].some((box) => box.value !== box.defaultValue);
    return edited ? "A comment is being edited: Save below it keeps what you wrote." : "";
  }

  /** Begin with another task of the team. Rejects when its comments cannot be loaded. */
  async open(team, task) {
    [this.#team, this.#task] = [team, task];
    this.#shown.clear();
    this.#cursor = null;
    this.list.replaceChildren();
    this.box.value = "";
    this.note.textContent = this.trouble.textContent = "";
    this.#offer();
    await this.refresh();
  }

  close() {
    this.#task = null;
    this.box.value = "";
    this.list.replaceChildren();
  }

  /** What may be done has changed, or who somebody is: draw everything anew but what is being edited. */
  redraw() {
    byId("comment-form").hidden = !this.#team.mayWrite;
    for (const comment of this.#shown.values()) this.#draw(comment);
  }

  /** Load the newest page; what would have to be on it is gone. Where it does not join what is shown, it begins anew. */
  async refresh() {
    const task = this.#task;
    const page = await this.#page(null);
    if (task !== this.#task) return;
    const oldest = page.items.at(-1)?.id ?? "";
    const there = new Set(page.items.map(({ id }) => id));
    const joins = page.next_cursor !== null && page.items.some(({ id }) => this.#shown.has(id));
    for (const id of [...this.#shown.keys()]) if (!there.has(id) && (id > oldest || !joins)) this.#remove(id);
    if (!joins) this.#cursor = page.next_cursor;
    for (const comment of page.items) this.#take(comment);
    this.redraw();
    this.#tell();
  }

  /** An event of the open task that is about a comment. */
  async follow({ type, data }) {
    const [task, { id }] = [this.#task, data.comment];
    if (type === "comment.deleted") this.#remove(id);
    else if ((this.#shown.get(id)?.version ?? 0) < data.version) {
      const found = await this.api.get(`/v1/comments/${id}`, this.#options()).catch(passOver404);
      if (found === null || task !== this.#task) return;
      this.#take(found.data);
    }
    this.#tell();
  }

  #options() {
    return { team: this.#team.team.id };
  }

  async #page(cursor) {
    const query = new URLSearchParams({ sort: "-created_at", limit: PAGE, ...(cursor === null ? {} : { cursor }) });
    const { data } = await this.api.get(`/v1/tasks/${this.#task}/comments?${query}`, this.#options());
    return data;
  }

  async #loadEarlier() {
    const [task, first] = [this.#task, this.list.firstElementChild];
    const page = await this.#page(this.#cursor);
    if (task !== this.#task) return;
    this.#cursor = page.next_cursor;
    for (const comment of page.items) this.#take(comment);
    this.#tell();
    if (this.#cursor === null) first?.focus();
  }

  #tell() {
    this.earlier.hidden = this.#cursor === null;
    byId("comments-none").hidden = this.#shown.size > 0;
  }

  /** Keep the newest version of a comment, and draw it at its place: ids are in the order of time. */
  #take(comment) {
    if ((this.#shown.get(comment.id)?.version ?? 0) >= comment.version) return;
    this.#shown.set(comment.id, comment);
    this.#draw(comment);
  }

  #draw(comment) {
    const old = this.#item(comment.id);
    if (old?.querySelector("textarea")) return;
    const focused = old?.contains(document.activeElement) ? document.activeElement.dataset.does : null;
    const item = this.#itemOf(comment);
    if (old) old.replaceWith(item);
    else this.list.insertBefore(item, [...this.list.children].find((other) => other.dataset.comment > comment.id) ?? null);
    if (focused !== null) (item.querySelector(`[data-does="${focused}"]`) ?? item).focus();
  }

  #item(id) {
    return [...this.list.children].find((item) => item.dataset.comment === id);
  }

  #itemOf(comment) {
    const { author } = comment;
    const at = comment.updated_at;
    const edited = at === comment.created_at ? null : h("time", { class: "edited", datetime: at, title: moment(at).textContent }, "edited");
    const head = h("p", { class: "comment-head" }, avatar(author.name, author.id), h("b", null, author.name), moment(comment.created_at), edited);
    const text = h("div", { class: "comment-text" }, fragmentOf(comment.html));
    for (const link of text.querySelectorAll("a")) link.target = "_blank";
    const label = `Comment by ${author.name}`;
    return h("li", { class: "comment", tabindex: "-1", "aria-label": label, data: { comment: comment.id } }, head, text, this.#tools(comment));
  }

  #tools(comment) {
    const { author } = comment;
    const mine = author.id === this.me().id;
    if (!this.#team.mayWrite || !(mine || this.#team.mayDelete)) return null;
    const button = (does, words) => h("button", { type: "button", class: "quiet", "aria-label": `${words} the comment by ${author.name}`, data: { does } }, words);
    const edit = mine ? button("edit", "Edit") : null;
    edit?.addEventListener("click", () => this.#edit(comment));
    return h("div", { class: "tools" }, edit, pressing(button("delete", "Delete"), this.trouble, () => this.#delete(comment)));
  }

  async #say() {
    const body = this.box.value;
    if (body.trim() === "" || this.box.readOnly) return;
    const task = this.#task;
    this.box.readOnly = true;
    this.#offer();
    this.note.textContent = "Sending…";
    try {
      const { data } = await this.api.post(`/v1/tasks/${task}/comments`, { body }, this.#options());
      if (task !== this.#task) return;
      this.box.value = "";
      this.note.textContent = "";
      this.box.dispatchEvent(new Event("input", { bubbles: true }));  // What the panel says of an unsent comment is over.
      this.#take(data);
      this.#tell();
      this.#item(data.id)?.scrollIntoView({ block: "nearest" });
      announce("Comment added.");
    } catch (error) {
      if (task === this.#task) this.note.textContent = error.message;
    } finally {
      this.box.readOnly = false;
      this.#offer();
    }
  }

  #offer() {
    this.send.disabled = this.box.value.trim() === "" || this.box.readOnly;
  }

  /** In place of its text, a box with its source; what others change meanwhile is a 412 that is said. */
  #edit(comment) {
    const item = this.#item(comment.id);
    const box = h("textarea", { rows: 4, "aria-label": "Edit the comment" }, comment.body);
    const note = h("p", { class: "section-note", role: "alert" });
    const save = h("button", { type: "button", class: "primary" }, "Save");
    const cancel = h("button", { type: "button", class: "quiet" }, "Cancel");
    const editor = h("div", { class: "field editor" }, box, note, h("div", { class: "tools" }, save, cancel));
    const leave = () => {
      editor.remove();
      this.#draw(this.#shown.get(comment.id) ?? comment);
      (this.#item(comment.id)?.querySelector("[data-does=edit]") ?? this.box).focus();
    };
    const store = async () => {
      if (save.disabled) return;
      save.disabled = true;
      try {
        const options = { ...this.#options(), ifMatch: this.#team.board.tag(comment.version) };
        const { data } = await this.api.patch(`/v1/comments/${comment.id}`, { body: box.value }, options);
        this.#take(data);
        leave();
      } catch (error) {
        note.textContent = error.message;
        save.disabled = false;
      }
    };
    save.addEventListener("click", store);
    cancel.addEventListener("click", leave);
    box.addEventListener("keydown", (event) => {
      onSend(event, store);
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      leave();
    });
    offerNames(box, () => this.#team.board.members);
    item.replaceChildren(item.firstElementChild, editor);
    box.focus();
  }

  async #delete(comment) {
    const sure = await confirmed({ title: "Delete this comment?", text: "It is gone for good, with what it said before.", action: "Delete" });
    if (!sure) return;
    await this.api.delete(`/v1/comments/${comment.id}`, this.#options());
    this.#remove(comment.id);
    this.#tell();
    byId("comments-heading").focus();
    announce("Comment deleted.");
  }

  #remove(id) {
    const item = this.#item(id);
    this.#shown.delete(id);
    const focused = item?.contains(document.activeElement);
    item?.remove();
    if (focused) byId("comments-heading").focus();
  }
}

/** Ctrl+Enter (on a Mac, Command+Enter) sends. */
function onSend(event, send) {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  send();
}

/** Gone by the time we ask for it: its own event says so next. */
function passOver404(error) {
  if (error.status === 404) return null;
  throw error;
}
