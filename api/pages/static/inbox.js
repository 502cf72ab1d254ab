/** The bell: how much is unread, and the inbox in a dialog. Opening what it tells of marks it as read. */

import { announce, byId, h, toast } from "./dom.js";
import { SessionEnded } from "./session.js";
import { momentIn } from "./shell.js";

const PATH = "/v1/me/notifications";
const EVERY_MS = 60_000;
const AFTER_EVENT_MS = 2_000; // By then whoever makes notifications of events has usually done so,
const LATE_MS = 8_000; // and so long after that on a bad day.

export class Inbox {
  #cursor = null;
  #newest = null;
  #asking = null;
  #after = null;
  #late = null;

  /** `show(item)` opens what a notification is about: a card, or the board where there is none; `zone()` is this person's. */
  constructor(api, show, zone) {
    this.api = api;
    this.show = show;
    this.zone = zone;
    this.bell = byId("bell");
    this.count = byId("bell-count");
    this.list = h("ul", { class: "inbox-list" });
    this.none = h("p", { class: "empty", hidden: true }, "Nothing has happened that concerns you.");
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.more = h("button", { type: "button", class: "quiet inbox-more", hidden: true, onclick: () => this.#load() }, "Earlier ones");
    this.all = h("button", { type: "button", class: "quiet", onclick: () => this.#readAll() }, "Mark all as read");
    const close = h("button", { type: "button", class: "icon", "aria-label": "Close", onclick: () => this.close() }, "×");
    const head = h("header", null, h("h2", { id: "inbox-title" }, "Notifications"), this.all, close);
    const scroll = h("div", { class: "inbox-scroll" }, this.wrong, this.none, this.list, this.more);
    const foot = h("footer", null, h("a", { href: "/account#mail" }, "What am I told, and how?"));
    this.dialog = h("dialog", { class: "inbox", "aria-labelledby": "inbox-title" }, head, scroll, foot);
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.close());
    document.body.append(this.dialog);
    this.bell.addEventListener("click", () => this.open());
    document.addEventListener("visibilitychange", () => this.refresh());
    setInterval(() => this.refresh(), EVERY_MS);
  }

  /** Something happened in the open team: it may concern this person. */
  follow() {
    this.#after ??= setTimeout(() => {
      this.#after = null;
      this.refresh();
      clearTimeout(this.#late);
      this.#late = setTimeout(() => this.refresh(), LATE_MS);
    }, AFTER_EVENT_MS);
  }

  /** Ask for the count, once at a time, and only while somebody may be looking. */
  refresh() {
    if (document.hidden || !this.api.session.signedIn) return Promise.resolve();
    this.#asking ??= this.#count().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #count() {
    try {
      const { data } = await this.api.get(`${PATH}/unread`);
      this.#showCount(data.unread, data.more);
    } catch {
      // The next time is soon; a page that is offline says so elsewhere.
    }
  }

  #showCount(unread, more) {
    this.count.textContent = unread === 0 ? "" : `${unread > 99 || more ? "99+" : unread}`;
    this.bell.setAttribute("aria-label", unread === 0 ? "Notifications" : `Notifications, ${unread}${more ? " or more" : ""} unread`);
    this.all.disabled = unread === 0;
  }

  async open() {
    [this.#cursor, this.#newest] = [null, null];
    this.list.replaceChildren();
    this.none.hidden = true;
    this.dialog.showModal();
    await Promise.all([this.#load(), this.refresh()]);
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  async #load() {
    await this.#guarded(async () => {
      const query = this.#cursor === null ? "" : `&cursor=${encodeURIComponent(this.#cursor)}`;
      const { data } = await this.api.get(`${PATH}?limit=20${query}`);
      this.#newest ??= data.items[0]?.id ?? null;
      this.#cursor = data.next_cursor;
      this.list.append(...data.items.map((item) => this.#row(item)));
      this.more.hidden = data.next_cursor === null;
      this.none.hidden = this.list.childElementCount > 0;
    });
  }

  #row(item) {
    const words = h("span", { class: "notice-words" }, item.read_at === null && h("span", { class: "unseen" }, "Unread: "), item.sentence);
    const where = h("span", { class: "notice-where" }, item.team_name, " · ", momentIn(item.created_at, this.zone()));
    const data = { unread: String(item.read_at === null) };
    const row = h("button", { type: "button", class: "notice", data }, h("span", { class: "notice-dot", "aria-hidden": "true" }), words, where);
    row.addEventListener("click", () => this.#take(item, row));
    return h("li", null, row);
  }

  async #take(item, row) {
    this.close();
    row.dataset.unread = "false";
    if (item.read_at === null) this.#guarded(() => this.#read({ ids: [item.id] }));
    this.show(item);
  }

  /** All up to the newest one that is shown: what has come since is not read by anybody yet. */
  #readAll() {
    return this.#guarded(async () => {
      if (this.#newest === null) return;
      await this.#read({ up_to: this.#newest });
      for (const row of this.list.querySelectorAll(".notice")) {
        row.dataset.unread = "false";
        row.querySelector(".unseen")?.remove();
      }
      announce("All are read.");
    });
  }

  async #read(which) {
    await this.api.post(`${PATH}/read`, which);
    await this.#count();
  }

  async #guarded(work) {
    this.wrong.textContent = "";
    try {
      await work();
    } catch (error) {
      if (error instanceof SessionEnded) return;
      if (this.dialog.open) this.wrong.textContent = error.message;
      else toast(error.message, "error");
    }
  }
}
