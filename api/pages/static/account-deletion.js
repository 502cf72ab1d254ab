/** The end of the account: the password is asked for, and what stands in the way is said. */

import { Problem } from "./api.js";
import { confirmed } from "./dialogs.js";
import { byId, h } from "./dom.js";
import { handle } from "./forms.js";

const QUESTION = {
  title: "Delete your account?",
  text: "Your name and address vanish everywhere, and you are signed out at once. It cannot be undone.",
  action: "Delete my account",
};
const GONE = "Your account is being deleted. You are signed out everywhere.";

/** `end(note)` runs once the server has begun. */
export function showDeletion(api, end) {
  const form = byId("deletion");
  const owned = byId("deletion-owned");
  handle(form, async ({ password }) => {
    owned.replaceChildren();
    // Who has no password has nothing to type, and would be gone by one press of a button.
    if (password === "" && !(await confirmed(QUESTION))) return;
    try {
      await api.send("DELETE", "/v1/me", { body: password === "" ? {} : { password } });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.body.reason === "last-owner") {
        await showOwned(api, owned);
        return;
      }
      if (error.status === 404 || error.status === 405) throw new Error("This server deletes no accounts.");
      throw error;
    }
    end(GONE);
  });
}

/** Links to the teams that would be left without an owner, where another one can be made. */
async function showOwned(api, place) {
  const mine = (await api.list("/v1/teams")).filter((team) => team.my_role === "owner");
  const alone = await Promise.all(mine.map(async (team) => {
    const members = await api.list(`/v1/teams/${team.id}/members`, { team: team.id });
    return members.filter((member) => member.role === "owner").length === 1;
  }));
  const links = mine.filter((_, index) => alone[index]).map((team) => h("li", null, h("a", { href: `/team-settings#/${team.id}` }, team.name)));
  place.replaceChildren(h("p", null, "You are the only owner of these teams. Make somebody else an owner first:"), h("ul", null, ...links));
}
