/** The end of the account: the password is asked for, and what stands in the way is said. */

import { Problem } from "./api.js";
import { byId, h } from "./dom.js";
import { handle } from "./forms.js";

const GONE = "Your account is being deleted. You are signed out everywhere.";

/** `end(note)` runs once the server has begun. */
export function showDeletion(api, end) {
  const form = byId("deletion");
  const owned = byId("deletion-owned");
  handle(form, async ({ password }) => {
    owned.replaceChildren();
    try {
      await api.send("DELETE", "/v1/me", { body: { password } });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.body.reason === "last-owner") await showOwned(api, owned, error.body.teams);
      if (error.status === 404 || error.status === 405) throw new Error("This server deletes no accounts.");
      throw error;
    }
    end(GONE);
  });
}

/** The teams that would be left without an owner: those that the server names, or else all that are owned. */
async function showOwned(api, place, named) {
  const ids = new Set((named ?? []).map((team) => team.id ?? team));
  const mine = (await api.list("/v1/teams")).filter((team) => team.my_role === "owner");
  const shown = ids.size === 0 ? mine : mine.filter((team) => ids.has(team.id));
  const links = shown.map((team) => h("li", null, h("a", { href: `/team-settings#/${team.id}` }, team.name)));
  place.replaceChildren(h("p", null, "Make somebody else an owner of these teams first:"), h("ul", null, ...links));
}
