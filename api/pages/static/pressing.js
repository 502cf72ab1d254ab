/** A button of the panel: toasts would be behind it, and a button that is disabled while it works would lose the focus. */

import { SessionEnded } from "./session.js";

/** Run what a button is for, once at a time; what goes wrong is said in `note`. */
export function pressing(button, note, work) {
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    note.textContent = "";
    try {
      await work();
    } catch (error) {
      if (!(error instanceof SessionEnded)) note.textContent = error.message;
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  return button;
}
