/** One webhook: how it is, what may be done with it, and its delivery log. */

import { Problem } from "./api.js";
import { DeliveryLog } from "./delivery-log.js";
import { confirmed, secret } from "./dialogs.js";
import { announce, byId, h } from "./dom.js";
import { clear, handle, say } from "./forms.js";
import { Polling } from "./polling.js";
import { SessionEnded } from "./session.js";
import { doing, moment } from "./shell.js";
import { badge, nameOf, stateOf, wishOf } from "./webhook-words.js";

const DAY_MS = 86_400_000;
const MOST_DAYS = 14;

export class Webhook {
  /** `address(rest)` is the address of another view, `left(words)` goes back to the list. */
  constructor(api, team, address, left) {
    this.api = api;
    this.team = team;
    this.address = address;
    this.left = left;
    this.hook = null;
    this.polling = null;
    doing(byId("test"), () => this.#test());
    doing(byId("send-now"), () => this.#sendNow());
    doing(byId("rotate"), () => this.#rotate());
    doing(byId("toggle"), () => this.#toggle());
    doing(byId("delete"), () => this.#delete());
    byId("recover").addEventListener("toggle", () => this.#bound());
    handle(byId("recover-form"), (values) => this.#recover(values));
  }

  /** Show the webhook with this id; with the secret, when it was just made. */
  async open(id, made = null) {
    this.close();
    this.#show(made ?? (await this.#load(id)));
    byId("secret").replaceChildren(...(made?.secret ? [secretBox(made.secret)] : []));
    clear(byId("recover-form"));
    byId("recover").open = false;
    this.log = new DeliveryLog(this.api, this.team, id, () => this.polling?.soon());
    await this.log.restart();
    this.#offerNow();
    this.polling = new Polling(() => this.#refresh());
  }

  close() {
    this.polling?.stop();
    this.polling = null;
    this.log?.stop();
    this.log = null;
    byId("secret").replaceChildren();  // A secret is shown once.
  }

  /** Something happened in the team: it may be sent in a moment. */
  follow() {
    this.polling?.soon();
  }

  get #path() {
    return `/v1/webhooks/subscriptions/${this.hook.id}`;
  }

  get #options() {
    return { team: this.team.id };
  }

  async #load(id) {
    return (await this.api.get(`/v1/webhooks/subscriptions/${id}`, this.#options)).data;
  }

  /** The webhook and its log as they are now; whether it is worth asking again soon. */
  async #refresh() {
    const { polling, log } = this;
    try {
      const [hook, busy] = await Promise.all([this.#load(this.hook.id), log.refresh()]);
      if (polling === this.polling) this.#show(hook);
      return busy;
    } catch (error) {
      if (error instanceof SessionEnded || polling !== this.polling) return false;
      if (error instanceof Problem && error.status === 404) this.left("The webhook is not there any more.");
      else byId("deliveries-note").textContent = error.message;
      return false;
    }
  }

  #show(hook) {
    this.hook = hook;
    const state = stateOf(hook);
    byId("hook-title").replaceChildren(h("span", { class: "hook-name" }, nameOf(hook)), badge(state));
    byId("hook-url").textContent = hook.url;
    byId("hook-why").replaceChildren(...state.why);
    byId("hook-wish").textContent = wishOf(hook);
    const since = ["Made ", moment(hook.created_at)];
    if (hook.previous_secret_until !== null) since.push(" · what is sent is signed by the old secret, too, until ", moment(hook.previous_secret_until));
    byId("hook-since").replaceChildren(...since);
    byId("edit").href = this.address(`${hook.id}/edit`);
    byId("toggle").textContent = hook.enabled ? "Switch off" : "Enable";
    byId("test").disabled = !hook.enabled;
    this.#offerNow();
  }

  /** While something waits because its endpoint failed, it can be sent without waiting. */
  #offerNow() {
    const { enabled, failing_since: failing, paused_until: paused } = this.hook;
    byId("send-now").hidden = !enabled || !(failing !== null || paused !== null || this.log?.retrying);
  }

  async #sendNow() {
    const body = { since: new Date(Date.now() - MOST_DAYS * DAY_MS).toISOString(), status: ["pending"] };
    const { data: { recovered: count } } = await this.api.post(`${this.#path}/recover`, body, this.#options);
    announce(count === 0 ? "Nothing waits, or its attempt is on its way." : `${count === 1 ? "One delivery is" : `${count} deliveries are`} sent now.`);
    await this.log.restart();
    this.polling?.soon();
  }

  async #test() {
    const { data } = await this.api.post(`${this.#path}/test`, undefined, this.#options);
    announce("A test event is on its way.");
    await this.log.reveal(data.id);
    this.polling?.soon();
  }

  async #rotate() {
    const text = "What is sent is signed by the new secret from now on, and for 24 hours by the present one, too: change your endpoint by then.";
    if (!(await confirmed({ title: "Rotate the secret?", text, action: "Rotate" }))) return;
    const { data } = await this.api.post(`${this.#path}/rotate-secret`, undefined, this.#options);
    this.#show(data);
    byId("secret").replaceChildren(secretBox(data.secret));
    byId("secret-text").focus();
  }

  async #toggle() {
    const before = this.hook;
    const { data } = await this.api.patch(this.#path, { enabled: !before.enabled }, this.#options);
    this.#show(data);
    announce(data.enabled ? "The webhook is enabled." : "The webhook is switched off.");
    if (data.enabled) this.#offerRecovery(before.failing_since ?? before.disabled_at);
    this.polling?.soon();
  }

  async #delete() {
    const text = `${nameOf(this.hook)} is sent nothing any more, and its delivery log goes with it. It cannot be undone.`;
    if (!(await confirmed({ title: "Delete this webhook?", text, action: "Delete" }))) return;
    const path = this.#path;
    this.polling?.stop();
    await this.api.delete(path, this.#options);
    this.left("The webhook is deleted.");
  }

  /** After it was enabled: what it has missed meanwhile can be sent now. */
  #offerRecovery(since) {
    byId("recover").open = true;
    byId("recover-since").value = localMinute(Math.max(new Date(since).getTime(), Date.now() - MOST_DAYS * DAY_MS + DAY_MS / 24));
  }

  /** What may be asked for is a matter of the moment. */
  #bound() {
    const field = byId("recover-since");
    field.min = localMinute(Date.now() - MOST_DAYS * DAY_MS);
    field.max = localMinute(Date.now());
    if (field.value === "") field.value = localMinute(Date.now() - DAY_MS);
  }

  async #recover({ since }) {
    const { data } = await this.api.post(`${this.#path}/recover`, { since: new Date(since).toISOString() }, this.#options);
    const count = data.recovered;
    say(byId("recover-form"), count === 0 ? "Nothing has failed or waits since then." : count === 1 ? "One delivery is sent again." : `${count} deliveries are sent again.`);
    await this.log.restart();
    this.polling?.soon();
  }
}

function secretBox(text) {
  return secret("Copy the secret now: it is never shown again. Your endpoint verifies with it what comes.", text, "secret-text");
}

/** As a field of a local date and time has it. */
function localMinute(ms) {
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
