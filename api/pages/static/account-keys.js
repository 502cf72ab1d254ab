/** API keys: made with a scope, perhaps for one team and until a day, and shown once. */

import { byId, h } from "./dom.js";
import { confirmed, secret } from "./dialogs.js";
import { handle, say } from "./forms.js";
import { day, doing, gone, moment, option } from "./shell.js";

const SCOPES = { read: "Read", write: "Read and write", admin: "Everything" };
const DAY_MS = 86_400_000;

export async function showKeys(api) {
  const form = byId("new-key");
  const list = byId("keys");
  const teams = await api.list("/v1/teams");
  const names = new Map(teams.map((team) => [team.id, team.name]));
  byId("key-team").replaceChildren(option("", "All my teams"), ...teams.map((team) => option(team.id, team.name)));

  async function load() {
    const keys = await api.list("/v1/me/api-keys");
    list.replaceChildren(...keys.map((key) => row(key, names, revoke)));
    byId("no-keys").hidden = keys.length > 0;
  }

  async function revoke(key) {
    const text = `Programs that use “${key.name}” can do nothing any more, at once and for good.`;
    if (!(await confirmed({ title: "Revoke this key?", text, action: "Revoke" }))) return;
    await api.delete(`/v1/me/api-keys/${key.id}`);
    await load();
    gone("keys-title", "The key is revoked.");
  }

  handle(form, async (values) => {
    byId("made-key").replaceChildren();
    const { data } = await api.post("/v1/me/api-keys", wish(values));
    form.reset();
    byId("made-key").replaceChildren(secret("Copy the key now: it is never shown again.", data.token, "key-token"));
    say(form, "The key is made.");
    byId("key-token").focus();
    await load();
  });
  await load();
}

/** The body of the request: an admin's scope includes the others. */
function wish({ name, scope, team_id: team, days }) {
  const body = { name, scopes: [scope] };
  if (team !== "") body.team_id = team;
  if (days !== "") body.expires_at = new Date(Date.now() + Number(days) * DAY_MS).toISOString();
  return body;
}

function row(key, names, revoke) {
  const scope = ["admin", "write", "read"].find((one) => key.scopes.includes(one));
  const team = key.team_id === null ? "all my teams" : (names.get(key.team_id) ?? "a team that you left");
  const expiry = key.expires_at === null ? [] : [" · until ", day(key.expires_at)];
  const used = key.last_used_at === null ? ["never used"] : ["last used ", moment(key.last_used_at)];
  return h(
    "li",
    { class: "row", data: { key: key.id } },
    h(
      "div",
      { class: "row-main" },
      h("p", { class: "row-title" }, key.name, " ", h("code", null, `${key.prefix}…`)),
      h("p", { class: "help" }, `${SCOPES[scope]} · ${team}`, ...expiry, " · ", ...used),
    ),
    doing(h("button", { type: "button", class: "secondary", "aria-label": `Revoke ${key.name}` }, "Revoke"), () => revoke(key)),
  );
}
