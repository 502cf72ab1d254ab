/** Other ways to sign in: identities at other issuers, which are linked by signing in there once. */

import { comeBackTo } from "./detour.js";
import { byId, h } from "./dom.js";
import { confirmed } from "./dialogs.js";
import { day, doing, gone } from "./shell.js";

export async function showIdentities(api) {
  const offered = (await api.get("/v1/auth/oidc", { anonymous: true })).data.items;

  async function load() {
    const identities = await api.list("/v1/me/identities");
    byId("identities").hidden = identities.length + offered.length === 0;
    byId("linked").replaceChildren(...identities.map((identity) => row(identity, unlink)));
  }

  async function unlink(identity) {
    const text = "You cannot sign in that way any more, until you link it again.";
    if (!(await confirmed({ title: `Unlink ${hostOf(identity.issuer)}?`, text, action: "Unlink" }))) return;
    await api.delete(`/v1/me/identities/${identity.id}`);
    await load();
    gone("identities-title", "It is unlinked.");
  }

  byId("link-others").replaceChildren(...offered.map(link));
  await load();
}

function link({ name, label }) {
  const href = `/v1/auth/oidc/${encodeURIComponent(name)}?link=true`;
  return h("a", { class: "secondary", href, onclick: () => comeBackTo("/account#identities") }, `Link ${label}`);
}

function row(identity, unlink) {
  const about = h("p", { class: "help" }, `${identity.subject} · since `, day(identity.created_at));
  const host = hostOf(identity.issuer);
  const button = h("button", { type: "button", class: "secondary", "aria-label": `Unlink ${host}` }, "Unlink");
  return h("li", { class: "row" }, h("div", { class: "row-main" }, h("p", { class: "row-title" }, host), about), doing(button, () => unlink(identity)));
}

/** The issuer as people know it. */
function hostOf(issuer) {
  return URL.canParse(issuer) ? new URL(issuer).host : issuer;
}
