/** All webhooks of a team: how each is, and the way to it. */

import { byId, h } from "./dom.js";
import { badge, nameOf, stateOf, wishOf } from "./webhook-words.js";

const SEARCHED_FROM = 8;

export class WebhookList {
  #hooks = [];

  /** `address(rest)` is the address of another view of the page. */
  constructor(api, team, address) {
    this.api = api;
    this.team = team;
    this.address = address;
    this.list = byId("webhooks");
    this.words = byId("search-words");
    this.words.addEventListener("input", () => this.#draw());
    for (const link of document.querySelectorAll(".new-webhook")) link.href = address("new");
  }

  /** Load and show all of them. Nothing in the list moves in the order, so the focus can stay where it is. */
  async load() {
    this.#hooks = await this.api.list("/v1/webhooks/subscriptions", { team: this.team.id, query: `team_id=${this.team.id}` });
    byId("webhook-count").textContent = this.#hooks.length === 0 ? "" : String(this.#hooks.length);
    byId("search").hidden = this.#hooks.length < SEARCHED_FROM;
    this.#draw();
  }

  #draw() {
    const words = byId("search").hidden ? "" : this.words.value.trim().toLowerCase();
    const found = this.#hooks.filter((hook) => `${hook.url} ${hook.description} ${stateOf(hook).name}`.toLowerCase().includes(words));
    const focused = document.activeElement?.closest?.("#webhooks .row")?.dataset.webhook;
    this.list.replaceChildren(...found.map((hook) => this.#row(hook)));
    if (focused) this.list.querySelector(`[data-webhook="${focused}"] a`)?.focus();
    byId("no-webhooks").hidden = this.#hooks.length > 0;
    byId("search-result").textContent = words === "" ? "" : `${found.length} of ${this.#hooks.length}`;
  }

  #row(hook) {
    const state = stateOf(hook);
    const name = h("p", { class: "row-title" }, h("a", { class: "hook-name", href: this.address(hook.id) }, nameOf(hook)), badge(state));
    const where = h("p", { class: "help hook-url" }, hook.url);
    const main = h("div", { class: "row-main" }, name, where, h("p", { class: "help" }, wishOf(hook)), state.why.length > 0 && h("p", { class: "help why" }, ...state.why));
    return h("li", { class: "row hook", data: { webhook: hook.id } }, main);
  }
}
