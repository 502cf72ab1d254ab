/** A delivery in the log: what came of it in a line, and its attempts when it is opened. */

import { announce, h } from "./dom.js";
import { doing, momentOfLog } from "./shell.js";
import { badge, errorWords, outcomeOf, spent, statusOf } from "./webhook-words.js";

const PATH = "/v1/webhooks/deliveries";

export class Delivery {
  #loaded = "";

  /** `changed(delivery)` runs with what the server says after it is sent again. */
  constructor(api, team, data, changed) {
    this.api = api;
    this.options = { team: team.id };
    this.team = team;
    this.changed = changed;
    this.summary = h("summary", { class: "delivery-line" });
    this.attempts = h("div", { class: "attempts" });
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.again = doing(h("button", { type: "button", class: "secondary" }, "Redeliver"), () => this.#redeliver());
    this.facts = h("p", { class: "help facts" });
    this.details = h("details", null, this.summary, h("div", { class: "delivery-body" }, this.facts, this.attempts, this.wrong, h("div", { class: "actions" }, this.again)));
    this.details.addEventListener("toggle", () => this.details.open && this.#load());
    this.element = h("li", { class: "delivery", data: { delivery: data.id } }, this.details);
    this.show(data);
  }

  /** Show it as it is now; the attempts of one that is open are loaded anew when there are more of them. */
  show(data) {
    this.data = data;
    this.element.dataset.status = data.status;
    this.summary.replaceChildren(...line(data));
    const test = data.seq === 0;
    const task = data.task_id !== null && data.event_type !== "task.deleted" && h("a", { href: `/#/${this.team.id}/${data.task_id}` }, "Open the task");
    const why = [data.last_error === "disabled" && errorWords("disabled"), data.blocked_by !== null && this.#blocker()].filter(Boolean);
    this.facts.replaceChildren(...why.flatMap((part) => [part, " "]), "webhook-id ", h("code", null, data.event_id), test ? "" : ` · after event ${data.prev_seq}`, task ? " · " : "", task || "");
    if (this.details.open) this.#load();
  }

  /** Whether the next attempt is on its way, or will be within moments. */
  get busy() {
    return this.data.status === "pending" && this.data.blocked_by === null && new Date(this.data.next_at ?? 0).getTime() < Date.now() + 20_000;
  }

  open() {
    this.details.open = true;
  }

  /** The event that must be taken before this one, to be looked at and redelivered. */
  #blocker() {
    const button = h("button", { type: "button", class: "link" }, "what waits before it");
    button.addEventListener("click", () => this.#showBlocker(this.data.blocked_by));
    return h("span", { class: "blocked" }, "Your endpoint gets its events in order: this one is sent after ", button, ".");
  }

  async #showBlocker(id) {
    const row = document.querySelector(`[data-delivery="${id}"] details`);
    if (row !== null) {
      row.open = true;
      row.querySelector("summary").focus();
      return;
    }
    try {
      const { data } = await this.api.get(`${PATH}/${id}`, this.options);
      this.wrong.replaceChildren(`Event ${data.seq}, ${data.event_type}: ${data.attempt_count} attempts, ${outcomeOf(data.last_status, data.last_error)}. It is further down in the log.`);
    } catch (error) {
      this.wrong.textContent = error.message;
    }
  }

  async #load() {
    const state = `${this.data.status} ${this.data.attempt_count} ${this.data.last_duration_ms} ${this.data.last_status}`;
    if (state === this.#loaded) return;
    this.#loaded = state;
    try {
      const { data } = await this.api.get(`${PATH}/${this.data.id}`, this.options);
      this.wrong.textContent = "";
      this.attempts.replaceChildren(...attempts(data));
    } catch (error) {
      this.#loaded = "";
      this.wrong.textContent = error.message;
    }
  }

  async #redeliver() {
    const { data } = await this.api.post(`${PATH}/${this.data.id}/redeliver`, undefined, this.options);
    announce("It is sent again.");
    this.changed(data);
  }
}

function line(data) {
  const outcome = outcomeOf(data.last_status, data.last_error);
  const took = data.last_duration_ms === null ? "" : spent(data.last_duration_ms);
  const tries = data.attempt_count === 1 ? "1 attempt" : `${data.attempt_count} attempts`;
  const next = data.status === "pending" && data.next_at !== null && data.attempt_count > 0 ? [" · next ", momentOfLog(data.next_at)] : [];
  return [
    badge(statusOf(data)),
    h("span", { class: "delivery-what" }, h("code", null, data.event_type), data.seq === 0 ? null : h("span", { class: "delivery-seq" }, `event ${data.seq}`)),
    h("span", { class: "delivery-outcome" }, [outcome, took].filter((part) => part !== "").join(" · ")),
    h("span", { class: "delivery-when help" }, momentOfLog(data.created_at), ` · ${tries}`, ...next),
  ];
}

function attempts({ attempts: all, attempt_count: count, status }) {
  if (all.length === 0) return [h("p", { class: "help" }, status === "pending" ? "No attempt has been made yet." : "No attempt was made.")];
  const left = count > all.length ? [h("p", { class: "help" }, `The newest ${all.length} of ${count} attempts.`)] : [];
  return [...left, h("ol", { class: "attempt-list" }, ...all.toReversed().map(attempt))];
}

/** Newest first. What an endpoint answers is somebody else's text: it becomes a text node, whatever it says. */
function attempt({ number, at, status, error, duration_ms: took, response }) {
  const good = status !== null && status >= 200 && status < 300;
  const outcome = outcomeOf(status, error);
  const kind = outcome === "" ? "" : good ? "good" : "bad";
  const head = h("p", { class: "attempt-head" }, h("b", null, `Attempt ${number}`), badge({ name: outcome === "" ? "on its way" : outcome, kind }),
    h("span", { class: "help" }, momentOfLog(at), took === null ? "" : ` · ${spent(took)}`));
  const why = errorWords(error);
  const answer = response === "" ? null : h("pre", { class: "response", tabindex: "0", "aria-label": `What the endpoint answered to attempt ${number}` }, response);
  return h("li", { class: "attempt" }, head, why !== "" && h("p", { class: "why" }, why), answer, status !== null && response === "" && h("p", { class: "help" }, "The answer had no body."));
}
