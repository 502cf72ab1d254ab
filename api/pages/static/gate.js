/** Signing up, signing in and founding a team: plain forms that say next to the field what is wrong with it. */

import { byId, h } from "./dom.js";

export class Gate {
  /** `done()` runs once tokens are there. */
  constructor(api, session, done) {
    this.api = api;
    this.session = session;
    this.done = done;
    handle(byId("sign-in"), (values) => this.#enter("/v1/auth/login", values));
    handle(byId("sign-up"), (values) => this.#enter("/v1/auth/signup", values));
    byId("to-sign-up").addEventListener("click", () => this.show("sign-up"));
    byId("to-sign-in").addEventListener("click", () => this.show("sign-in"));
  }

  show(which = "sign-in", note = "") {
    for (const id of ["sign-in", "sign-up"]) byId(id).hidden = id !== which;
    byId("gate-note").textContent = note;
    for (const form of [byId("sign-in"), byId("sign-up")]) clear(form);
    byId(which).querySelector("input").focus();
  }

  async #enter(path, values) {
    const { data } = await this.api.post(path, values, { anonymous: true });
    this.session.adopt(data);
    for (const id of ["sign-in", "sign-up"]) byId(id).reset();
    await this.done();
  }
}

export class Founding {
  /** `done(team)` runs with the new team. */
  constructor(api, done) {
    this.form = byId("found");
    const { name, key } = fields(this.form, ["name", "key"]);
    name.addEventListener("input", () => {
      if (!key.dataset.own) key.value = suggestKey(name.value);
    });
    key.addEventListener("input", () => {
      key.dataset.own = key.value === "" ? "" : "yes";
      key.value = key.value.toUpperCase();
    });
    handle(this.form, async (values) => {
      const { data } = await api.post("/v1/teams", values);
      this.form.reset();
      key.dataset.own = "";
      await done(data);
    });
  }

  show(first) {
    byId("found-welcome").hidden = !first;
    byId("found-cancel").hidden = first;
    clear(this.form);
    this.form.querySelector("input").focus();
  }
}

/** "Platform Engineering" → "PE", "Forge" → "FORGE": 2 to 10 of A-Z and 0-9, a letter first. */
export function suggestKey(name) {
  const plain = name.normalize("NFD").toUpperCase().replaceAll(/[^A-Z0-9 ]/gu, "");
  const words = plain.split(" ").filter((word) => word !== "");
  const short = words.length > 1 ? words.map((word) => word[0]).join("") : (words[0] ?? "").slice(0, 5);
  return short.replace(/^[0-9]+/u, "").slice(0, 10);
}

function fields(form, names) {
  return Object.fromEntries(names.map((name) => [name, form.elements.namedItem(name)]));
}

/** Run `send(values)` on submit, once at a time; a problem's fields are marked, the rest stands above the button. */
function handle(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button[type=submit]");
    if (button.disabled) return;
    button.disabled = true;
    clear(form);
    try {
      checkFilled(form);
      await send(Object.fromEntries(new FormData(form)));
    } catch (error) {
      showProblem(form, error);
    } finally {
      button.disabled = false;
    }
  });
}

/** What would only come back from the server as a riddle: a required field left empty. */
function checkFilled(form) {
  const empty = Array.from(form.querySelectorAll("input[required]")).filter((input) => input.value.trim() === "");
  if (empty.length === 0) return;
  const missing = new Error("Please fill in every field.");
  missing.fields = new Map(empty.map((input) => [input.name, "Please fill this in."]));
  throw missing;
}

function clear(form) {
  for (const old of form.querySelectorAll(".wrong")) old.remove();
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
}

function showProblem(form, error) {
  let first = null;
  for (const [name, detail] of error.fields ?? []) {
    const input = form.elements.namedItem(name);
    if (!(input instanceof HTMLInputElement)) continue;
    const id = `${form.id}-${name}-wrong`;
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", id);
    input.closest(".field").append(h("p", { class: "wrong", id }, sentence(detail)));
    first ??= input;
  }
  if (first === null) {
    const box = h("p", { class: "wrong wrong-form", role: "alert" }, sentence(error.message));
    form.querySelector("button[type=submit]").before(box);
  }
  (first ?? form.querySelector("input")).focus();
}

function sentence(text) {
  return text === "" ? "Something is wrong here." : text[0].toUpperCase() + text.slice(1);
}
