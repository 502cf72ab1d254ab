/** Forms: sent once at a time, with what is wrong said next to the field. */

import { h } from "./dom.js";
import { SessionEnded } from "./session.js";

/** Run `send(values)` on submit, once at a time; a problem's fields are marked, the rest stands above the button. */
export function handle(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button[type=submit]");
    if (button.disabled) return;
    button.disabled = true;
    clear(form);
    try {
      check(form);
      await send(Object.fromEntries(new FormData(form)));
    } catch (error) {
      if (!(error instanceof SessionEnded)) showProblem(form, error);
    } finally {
      button.disabled = false;
    }
  });
}

/** What would only come back from the server as a riddle: a required field left empty, a number that is none. */
function check(form) {
  const inputs = Array.from(form.querySelectorAll("input")).filter((input) => input.offsetParent !== null);
  const empty = inputs.filter((input) => input.required && input.value.trim() === "");
  const numbers = inputs.filter((input) => input.type === "number" && !input.validity.valid);
  if (empty.length + numbers.length === 0) return;
  const wrong = new Error(empty.length > 0 ? "Please fill in every field." : "Please look at the numbers again.");
  wrong.fields = new Map([
    ...empty.map((input) => [input.name, "Please fill this in."]),
    ...numbers.map((input) => [input.name, `A whole number from ${input.min} to ${input.max}.`]),
  ]);
  throw wrong;
}

/** What came of it, at the foot of a form that has a place for it; read aloud. */
export function say(form, text) {
  const place = form.querySelector(".result");
  if (place !== null) place.textContent = text;
}

/** Take away what was said about the last try. */
export function clear(form) {
  for (const old of form.querySelectorAll(".wrong")) old.remove();
  say(form, "");
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
}

/** Mark the fields that a problem names; what is left of it stands above the button. */
export function showProblem(form, error) {
  let first = null;
  for (const [name, detail] of error.fields ?? []) {
    const input = controlOf(form, name);
    if (input === null) continue;
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
  (first ?? form.querySelector("input:enabled, select:enabled, button")).focus();
}

/** The control that a problem's field is shown at, null where the form has none: of several, or of a group, the first. */
function controlOf(form, name) {
  const named = form.elements.namedItem(name);
  const control = named instanceof RadioNodeList ? named[0] : named instanceof HTMLFieldSetElement ? named.querySelector("input") : named;
  if (!(control instanceof HTMLInputElement || control instanceof HTMLSelectElement)) return null;
  const folded = control.closest("details");
  if (folded !== null) folded.open = true;
  return control;
}

/** As a sentence of its own: the server's words begin small where they follow a field's name. */
export function sentence(text) {
  return text === "" ? "Something is wrong here." : text[0].toUpperCase() + text.slice(1);
}
