/** Which mails are wanted: each switch is saved as it is turned. */

import { byId, toast } from "./dom.js";
import { SessionEnded } from "./session.js";

export function showMail(api, me) {
  const said = byId("mail-result");
  for (const box of document.querySelectorAll("#mail-choices input")) {
    box.checked = me.mail[box.name];
    box.addEventListener("change", async () => {
      said.textContent = "";
      try {
        const { data } = await api.patch("/v1/me", { mail: { [box.name]: box.checked } });
        box.checked = data.mail[box.name];
        said.textContent = "Saved.";
      } catch (error) {
        box.checked = !box.checked;
        if (!(error instanceof SessionEnded)) toast(error.message, "error");
      }
    });
  }
}
