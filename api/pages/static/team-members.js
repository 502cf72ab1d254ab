/** The people of a team: who may change whom is the server's table; the page offers only what it allows. */

import { avatar } from "./card.js";
import { announce, byId, h, toast } from "./dom.js";
import { confirmed } from "./dialogs.js";
import { day, doing, gone, option } from "./shell.js";
import { SessionEnded } from "./session.js";

export const ROLES = { owner: "Owner", admin: "Admin", member: "Member", viewer: "Viewer" };

/** Whether somebody with these permissions may give, change or take away the role. */
export function mayGrant(permissions, role) {
  return permissions.includes("own_team") || (permissions.includes("manage_members") && role !== "owner");
}

/** The roles that may be given, as options. */
export function grantable(permissions, chosen) {
  return Object.entries(ROLES).filter(([role]) => mayGrant(permissions, role)).map(([role, name]) => option(role, name, chosen));
}

export class Members {
  /** `left(team)` runs once the asker is no member any more. */
  constructor(api, me, team, left) {
    this.api = api;
    this.me = me;
    this.team = team;
    this.left = left;
    doing(byId("leave"), () => this.#leave());
  }

  /** Show the members of now, and the former ones. */
  async load() {
    const path = `/v1/teams/${this.team.id}/members`;
    const [members, former] = await Promise.all([
      this.api.list(path, this.#options()),
      this.api.list(path, { ...this.#options(), query: "former=true" }),
    ]);
    const focused = document.activeElement?.closest?.("#members [data-member]")?.dataset.member;
    byId("members").replaceChildren(...members.map((member) => this.#row(member)));
    byId("member-count").textContent = members.length;
    byId("former").hidden = former.length === 0;
    byId("former-members").replaceChildren(...former.map(formerRow));
    // What had the focus is another element now.
    if (focused) byId("members").querySelector(`[data-member="${focused}"] :is(select, button)`)?.focus();
  }

  #row(member) {
    const me = member.user_id === this.me.id;
    const name = h("p", { class: "row-title" }, member.name, me ? h("span", { class: "badge" }, "You") : null);
    const main = h("div", { class: "row-main" }, name, h("p", { class: "help" }, "Since ", day(member.joined_at)));
    return h("li", { class: "row", data: { member: member.user_id } }, avatar(member.name, member.user_id), main, ...this.#offers(member, me));
  }

  #offers(member, me) {
    if (!mayGrant(this.team.permissions, member.role)) return [h("span", { class: "badge" }, ROLES[member.role])];
    const select = h("select", { "aria-label": `Role of ${member.name}` }, ...grantable(this.team.permissions, member.role));
    select.addEventListener("change", () => this.#changeRole(member, select));
    if (me) return [select];
    const remove = h("button", { type: "button", class: "secondary", "aria-label": `Remove ${member.name}` }, "Remove");
    return [select, doing(remove, () => this.#remove(member))];
  }

  async #changeRole(member, select) {
    try {
      await this.api.patch(`/v1/teams/${this.team.id}/members/${member.user_id}`, { role: select.value }, this.#options());
      announce(`${member.name} is ${ROLES[select.value]} now.`);
      // One's own role decides what the whole page offers.
      if (member.user_id === this.me.id) location.reload();
    } catch (error) {
      select.value = member.role;
      if (!(error instanceof SessionEnded)) toast(error.message, "error");
    }
  }

  async #remove(member) {
    const text = `${member.name} sees nothing of this team any more, at once. Tasks and history keep the name.`;
    if (!(await confirmed({ title: `Remove ${member.name}?`, text, action: "Remove" }))) return;
    await this.api.delete(`/v1/teams/${this.team.id}/members/${member.user_id}`, this.#options());
    await this.load();
    gone("members-title", `${member.name} is removed.`);
  }

  async #leave() {
    const text = "You see nothing of this team any more. To come back, somebody has to invite you.";
    if (!(await confirmed({ title: `Leave ${this.team.name}?`, text, action: "Leave" }))) return;
    await this.api.delete(`/v1/teams/${this.team.id}/members/${this.me.id}`, this.#options());
    this.left(this.team);
  }

  #options() {
    return { team: this.team.id };
  }
}

function formerRow(member) {
  const about = h("p", { class: "help" }, `${ROLES[member.role]} until `, day(member.left_at));
  return h("li", { class: "row" }, avatar(member.name, member.user_id), h("div", { class: "row-main" }, h("p", { class: "row-title" }, member.name), about));
}
