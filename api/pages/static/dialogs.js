/** Asking back before something ends, and showing a secret once. */

import { announce, h } from "./dom.js";

/** Ask in a dialog; comes with whether `action` was chosen. Escape and a click on Cancel mean no. */
export function confirmed({ title, text, action }) {
  const cancel = h("button", { type: "submit", value: "", class: "secondary" }, "Cancel");
  const go = h("button", { type: "submit", value: "yes", class: "destructive" }, action);
  const form = h("form", { method: "dialog" }, h("h2", { id: "question" }, title), h("p", null, text), h("div", { class: "actions" }, cancel, go));
  const dialog = h("dialog", { class: "question", "aria-labelledby": "question" }, form);
  document.body.append(dialog);
  dialog.showModal();
  cancel.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
  });
}

/** A text that is shown this once, with a button that copies it. */
export function secret(label, text, id) {
  const field = h("input", { id, type: "text", readonly: true, value: text, class: "secret-text", spellcheck: "false" });
  const copy = h("button", { type: "button", class: "secondary" }, "Copy");
  field.addEventListener("focus", () => field.select());
  copy.addEventListener("click", async () => {
    if (await copied(field)) copy.textContent = "Copied";
    announce(copy.textContent === "Copied" ? "Copied." : "Please copy the selected text.");
  });
  return h("div", { class: "secret" }, h("label", { for: id }, label), h("div", { class: "secret-line" }, field, copy));
}

/** Whether the text is in the clipboard now; where the browser does not allow it, the text is selected. */
async function copied(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    field.select();
    return false;
  }
}
