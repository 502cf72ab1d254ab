/** Invitations: to an address, or by a link for whoever has it. For those who may manage members. */

import { byId, h } from "./dom.js";
import { confirmed, secret } from "./dialogs.js";
import { handle, say } from "./forms.js";
import { doing, gone, moment } from "./shell.js";
import { ROLES, grantable } from "./team-members.js";

export class Invitations {
  constructor(api, team) {
    this.api = api;
    this.team = team;
    this.may = team.permissions.includes("manage_members");
    byId("invitations").hidden = !this.may;
    if (!this.may) return;
    byId("invite-role").replaceChildren(...grantable(team.permissions, "member"));
    const form = byId("new-invitation");
    for (const way of form.elements.namedItem("way")) way.addEventListener("change", () => choose(form));
    choose(form);
    handle(form, (values) => this.#invite(form, values));
  }

  async load() {
    if (!this.may) return;
    const open = await this.api.list(this.#path(), { team: this.team.id });
    byId("open-invitations").replaceChildren(...open.map((invitation) => this.#row(invitation)));
    byId("no-invitations").hidden = open.length > 0;
  }

  async #invite(form, { way, email, role, expires_in: seconds, max_uses: uses }) {
    byId("made-link").replaceChildren();
    const body = { role, expires_in: Number(seconds), ...(way === "mail" ? { email } : { max_uses: Number(uses) }) };
    const { data } = await this.api.post(this.#path(), body, { team: this.team.id });
    form.elements.namedItem("email").value = "";
    if (way === "mail") say(form, `The invitation goes to ${data.email}.`);
    else {
      const link = `${location.origin}/invitation#token=${data.token}`;
      byId("made-link").replaceChildren(secret("Copy the link now: it is never shown again.", link, "link-text"));
      byId("link-text").focus();
    }
    await this.load();
  }

  async #revoke(invitation) {
    const text = "Nobody can join by it any more. Who has joined stays.";
    if (!(await confirmed({ title: "Revoke this invitation?", text, action: "Revoke" }))) return;
    await this.api.delete(`${this.#path()}/${invitation.id}`, { team: this.team.id });
    await this.load();
    gone("invitations-title", "The invitation is revoked.");
  }

  #row(invitation) {
    const name = invitation.email ?? "A link";
    const uses = invitation.email === null ? ` · ${invitation.uses} of ${invitation.max_uses} used` : "";
    const invalid = invitation.valid ? null : h("span", { class: "badge badge-warm" }, "Not valid any more");
    const about = h("p", { class: "help" }, `${ROLES[invitation.role]}${uses} · until `, moment(invitation.expires_at));
    const revoke = h("button", { type: "button", class: "secondary", "aria-label": `Revoke the invitation: ${name}` }, "Revoke");
    return h(
      "li",
      { class: "row", data: { invitation: invitation.id } },
      h("div", { class: "row-main" }, h("p", { class: "row-title" }, name, invalid), about),
      doing(revoke, () => this.#revoke(invitation)),
    );
  }

  #path() {
    return `/v1/teams/${this.team.id}/invitations`;
  }
}

/** An address or a number of uses: what the chosen way needs. */
function choose(form) {
  const byMail = form.elements.namedItem("way").value === "mail";
  byId("invite-email-field").hidden = !byMail;
  form.elements.namedItem("email").required = byMail;
  byId("invite-uses-field").hidden = byMail;
  byId("invite-send").textContent = byMail ? "Send the invitation" : "Make the link";
}
