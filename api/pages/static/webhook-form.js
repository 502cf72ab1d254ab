/** The form that makes a webhook and changes one: where to, which events, about which tasks, and in which form. */

import { STATUS_NAMES } from "./card.js";
import { byId, h } from "./dom.js";
import { clear, handle } from "./forms.js";

const FILTERS = ["status", "label", "assignee"];

export class WebhookForm {
  #hook = null;

  /** `saved(hook)` runs with the server's answer; the one that makes a webhook has its secret. */
  constructor(api, team, saved) {
    this.api = api;
    this.team = team;
    this.form = byId("webhook-form");
    this.types = null;
    for (const radio of this.form.querySelectorAll("[name=which]")) radio.addEventListener("change", () => this.#offerTypes());
    handle(this.form, async () => saved(await this.#send()));
  }

  /** Show the form for a new webhook (null), or for one that is there; `back` is the address that Cancel leads to. */
  async open(hook, back) {
    this.#hook = hook;
    clear(this.form);
    await this.#loadChoices();
    byId("form-title").textContent = hook === null ? "New webhook" : "Change the webhook";
    byId("form-save").textContent = hook === null ? "Create the webhook" : "Save";
    byId("form-cancel").href = back;
    this.#fill(hook ?? { url: "", description: "", format: "cloudevents", in_order: false, event_types: [], filter: { status: [], label: [], assignee: [] } });
    this.form.elements.namedItem("url").focus();
  }

  /** What may be chosen, as it is now; the types of events are those of the server. */
  async #loadChoices() {
    const options = { team: this.team.id };
    const [schemas, labels, members] = await Promise.all([
      this.types ?? this.api.get("/schemas"),
      this.api.list(`/v1/teams/${this.team.id}/labels`, options),
      this.api.list(`/v1/teams/${this.team.id}/members`, options),
    ]);
    this.types ??= schemas;
    byId("types").replaceChildren(...grouped(new Set(this.types.data.items.map((one) => one.type))));
    fillChoices("status", Object.entries(STATUS_NAMES));
    fillChoices("label", labels.map((one) => [one.id, one.name]).toSorted(byName));
    fillChoices("assignee", members.map((one) => [one.user_id, one.name]).toSorted(byName));
  }

  #fill(hook) {
    const { elements } = this.form;
    elements.namedItem("url").value = hook.url;
    elements.namedItem("description").value = hook.description;
    elements.namedItem("format").value = hook.format;
    elements.namedItem("in_order").checked = hook.in_order;
    elements.namedItem("which").value = hook.event_types.length === 0 ? "all" : "some";
    check(byId("types"), hook.event_types);
    for (const name of FILTERS) {
      // What a filter names may be gone by now; it stays chosen until somebody takes it away.
      const known = new Set(Array.from(boxes(byId(`filter-${name}`)), (box) => box.value));
      const lost = hook.filter[name].filter((value) => !known.has(value)).map((value) => choice(name, value, "one that is gone"));
      byId(`filter-${name}`).append(...lost);
      byId(`filter-${name}`).closest("fieldset").hidden = boxes(byId(`filter-${name}`)).length === 0;
      check(byId(`filter-${name}`), hook.filter[name]);
    }
    byId("filter").open = FILTERS.some((name) => hook.filter[name].length > 0);
    this.#offerTypes();
  }

  #offerTypes() {
    byId("types").hidden = this.form.elements.namedItem("which").value !== "some";
  }

  async #send() {
    const body = this.#body();
    const options = { team: this.team.id };
    if (this.#hook !== null) return (await this.api.patch(`/v1/webhooks/subscriptions/${this.#hook.id}`, body, options)).data;
    return (await this.api.post("/v1/webhooks/subscriptions", { team_id: this.team.id, ...body }, options)).data;
  }

  #body() {
    const { elements } = this.form;
    const some = elements.namedItem("which").value === "some";
    const types = some ? chosen(byId("types")) : [];
    if (some && types.length === 0) throw refused("event_types", "Choose at least one type, or every event.");
    return {
      url: elements.namedItem("url").value.trim(),
      description: elements.namedItem("description").value.trim(),
      format: elements.namedItem("format").value,
      in_order: elements.namedItem("in_order").checked,
      event_types: types,
      filter: Object.fromEntries(FILTERS.map((name) => [name, chosen(byId(`filter-${name}`))])),
    };
  }
}

/** Types of events by what they are about, each group with its name. */
function grouped(types) {
  const groups = Map.groupBy([...types], (type) => type.split(".")[0]);
  return [...groups].map(([noun, names]) =>
    h("fieldset", { class: "type-group" }, h("legend", null, noun), ...names.map((name) => choice("event_types", name, name))));
}

function fillChoices(name, choices) {
  byId(`filter-${name}`).replaceChildren(...choices.map(([value, text]) => choice(name, value, text)));
}

function choice(name, value, text) {
  return h("label", { class: "choice" }, h("input", { type: "checkbox", name, value }), h("span", { class: "choice-text" }, text));
}

function boxes(place) {
  return place.querySelectorAll("input[type=checkbox]");
}

function check(place, values) {
  for (const box of boxes(place)) box.checked = values.includes(box.value);
}

function chosen(place) {
  return Array.from(boxes(place)).filter((box) => box.checked).map((box) => box.value);
}

function byName([, a], [, b]) {
  return a.localeCompare(b);
}

/** As a problem of the server would say it. */
function refused(field, detail) {
  const error = new Error(detail);
  error.fields = new Map([[field, detail]]);
  return error;
}
