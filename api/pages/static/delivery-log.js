/**
 * The delivery log of a webhook: a page at a time, of one status if somebody wants that, newest first. It follows what
 * happens: the newest page is asked for again, and what was sent again further down by itself.
 */

import { Problem } from "./api.js";
import { Delivery } from "./delivery.js";
import { byId } from "./dom.js";
import { LatencyPlot } from "./latency.js";
import { SessionEnded } from "./session.js";

const PAGE = 25;

export class DeliveryLog {
  #rows = new Map();
  #watched = new Set();
  #cursor = null;
  #generation = 0;

  /** `sent()` runs after a delivery was sent again. */
  constructor(api, team, hookId, sent) {
    this.api = api;
    this.team = team;
    this.path = `/v1/webhooks/subscriptions/${hookId}/deliveries`;
    this.sent = sent;
    this.list = byId("deliveries");
    this.more = byId("deliveries-more");
    this.note = byId("deliveries-note");
    this.filter = byId("deliveries-status");
    this.plot = new LatencyPlot();
    byId("latency").replaceChildren(this.plot.element);
    this.filter.value = "";
    this.filter.onchange = () => this.restart();
    this.more.onclick = () => this.#extend();
  }

  /** From the newest on. */
  restart() {
    this.#generation += 1;
    this.#rows.clear();
    this.#watched.clear();
    this.#cursor = null;
    this.list.replaceChildren();
    return this.refresh();
  }

  /** What is new, and what has changed. Resolves to whether something is on its way. Says itself what goes wrong. */
  async refresh() {
    const generation = this.#generation;
    try {
      const [page] = await Promise.all([this.#page(null), this.#refreshWatched()]);
      if (generation !== this.#generation) return false;
      this.#take(page);
      this.#said("");
    } catch (error) {
      if (error instanceof SessionEnded || generation !== this.#generation) return false;
      this.#said(error.message);
    }
    return this.#busy;
  }

  /** Show a delivery that was just made, opened. */
  async reveal(id) {
    this.filter.value = "";
    await this.restart();
    this.#rows.get(id)?.open();
    this.#rows.get(id)?.summary.focus();
  }

  /** Nobody looks at it any more: what is still on its way changes nothing here. */
  stop() {
    this.#generation += 1;
    this.list.replaceChildren();
    this.plot.stop();
  }

  /** Whether something that is shown was tried and waits for its next attempt. */
  get retrying() {
    return [...this.#rows.values()].some(({ data }) => data.status === "pending" && data.attempt_count > 0);
  }

  get #busy() {
    return [...this.#rows.values()].some((row) => row.busy);
  }

  async #page(cursor) {
    const query = new URLSearchParams({ limit: PAGE });
    if (this.filter.value !== "") query.set("status", this.filter.value);
    if (cursor !== null) query.set("cursor", cursor);
    return (await this.api.get(`${this.path}?${query}`, { team: this.team.id })).data;
  }

  /** The newest page over what is shown: rows keep their elements, so that what is open or focused stays so. */
  #take({ items, next_cursor: cursor }) {
    const joined = items.some((item) => this.#rows.has(item.id)) || this.#rows.size === 0 || cursor === null;
    const oldest = items.at(-1)?.id ?? "";
    const newest = new Set(items.map((item) => item.id));
    for (const [id, row] of this.#rows) {
      const within = cursor === null || id >= oldest || !joined;
      if (within && !newest.has(id)) this.#drop(id, row);
    }
    if (this.#rows.size === 0 || !joined || cursor === null) this.#cursor = cursor;
    let before = this.list.firstElementChild;
    for (const item of items) {
      const row = this.#shown(item);
      if (row.element === before) before = before.nextElementSibling;
      else this.list.insertBefore(row.element, before);
    }
    this.#drawn();
  }

  async #extend() {
    const generation = this.#generation;
    this.more.disabled = true;
    try {
      const { items, next_cursor: cursor } = await this.#page(this.#cursor);
      if (generation !== this.#generation) return;
      this.#cursor = cursor;
      this.list.append(...items.map((item) => this.#shown(item).element));
      this.#drawn();
      this.#said("");
    } catch (error) {
      if (!(error instanceof SessionEnded)) this.#said(error.message);
    } finally {
      this.more.disabled = false;
    }
  }

  /** The row of a delivery, as it is now. */
  #shown(item) {
    const row = this.#rows.get(item.id);
    if (row === undefined) {
      this.#rows.set(item.id, new Delivery(this.api, this.team, item, (again) => this.#sentAgain(again)));
    } else if (JSON.stringify(row.data) !== JSON.stringify(item)) row.show(item);
    return this.#rows.get(item.id);
  }

  #sentAgain(item) {
    this.#rows.get(item.id)?.show(item);
    this.#watched.add(item.id);
    this.sent();
  }

  /** What was sent again is asked for by its id: it may stand far below the newest page, or be of another status now. */
  #refreshWatched() {
    return Promise.all([...this.#watched].map((id) => this.#refreshOne(id)));
  }

  async #refreshOne(id) {
    try {
      const { attempts: _, ...item } = (await this.api.get(`/v1/webhooks/deliveries/${id}`, { team: this.team.id })).data;
      const row = this.#rows.get(id);
      row?.show(item);
      if (row === undefined || !row.busy) this.#watched.delete(id);
    } catch (error) {
      // One that is not kept any more needs no more looks.
      if (!(error instanceof Problem && error.status === 404)) throw error;
      this.#watched.delete(id);
    }
  }

  #drop(id, row) {
    if (this.#watched.has(id) || row.details.open) return;  // Somebody looks at it: it stays until the list begins anew.
    this.#rows.delete(id);
    row.element.remove();
  }

  #drawn() {
    this.more.hidden = this.#cursor === null;
    const none = byId("no-deliveries");
    none.hidden = this.#rows.size > 0;
    none.textContent = this.filter.value === "" ? "Nothing has been sent yet. “Send a test” tries it out." : "There is none of this status.";
    this.plot.show([...this.#rows.values()].map((row) => row.data).toSorted((a, b) => (a.id < b.id ? 1 : -1)));
  }

  #said(text) {
    this.note.textContent = text;
  }
}
