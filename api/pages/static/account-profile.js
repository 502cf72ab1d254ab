/** Name, time zone, address and password. */

import { byId, h } from "./dom.js";
import { handle, say } from "./forms.js";
import { doing, showMe, zones } from "./shell.js";

export function showProfile(api, me) {
  const form = byId("profile");
  form.elements.namedItem("name").value = me.name;
  byId("profile-zone").replaceChildren(...zones(me.time_zone));
  showAddress(api, me);
  handle(form, async (values) => {
    const { data } = await api.patch("/v1/me", values);
    form.elements.namedItem("name").value = data.name;
    showMe(data);
    say(form, "Saved.");
  });
}

/** The address, and whether anybody has proved to read mail there. */
function showAddress(api, me) {
  byId("address").textContent = me.email;
  const state = byId("address-state");
  if (me.email_verified_at !== null) {
    state.replaceChildren(h("span", { class: "badge badge-good" }, "Verified"));
    return;
  }
  const again = h("button", { type: "button", class: "link" }, "Send the mail again");
  doing(again, async () => {
    await api.post("/v1/me/email-verification");
    again.replaceWith(h("span", { role: "status" }, "A mail is on its way."));
  });
  state.replaceChildren(h("span", { class: "badge badge-warm" }, "Not verified"), again);
}

export function showPassword(api, session, me) {
  const form = byId("password");
  byId("password-user").value = me.email;
  handle(form, async ({ password, new_password: next }) => {
    const { data } = await api.post("/v1/auth/password-change", { password, new_password: next });
    session.adopt(data);
    form.reset();
    byId("password-user").value = me.email;
    say(form, "Your password is changed. All your other sessions have ended.");
    document.dispatchEvent(new CustomEvent("sessions-changed"));
  });
}
