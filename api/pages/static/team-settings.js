/** A team's settings page: the team's own, its members, invitations, and leaving it. The team is behind # in the address. */

import { Problem } from "./api.js";
import { leave } from "./detour.js";
import { byId, h, toast } from "./dom.js";
import { Feed } from "./feed.js";
import { Place } from "./place.js";
import { showGeneral } from "./team-general.js";
import { Invitations } from "./team-invitations.js";
import { Members } from "./team-members.js";
import { Shell } from "./shell.js";

const teamId = location.hash.replace(/^#\/?/u, "");
const TOGETHER_MS = 50;

const shell = new Shell(async (api, me) => {
  const { team, seq, epoch } = await found(api);
  if (team === null) {
    byId("page").replaceChildren(h("p", { class: "empty" }, "There is no such team, or you are not in it. ", h("a", { href: "/" }, "To the board")));
    return;
  }
  show(team);
  const members = new Members(api, me, team, gone);
  const invitations = new Invitations(api, team);
  showGeneral(api, team);
  byId("webhooks-block").hidden = !team.permissions.includes("manage_team");
  await Promise.all([members.load(), invitations.load()]);
  follow(api, me, { members, invitations, seq, epoch });
});
shell.open();
window.addEventListener("hashchange", () => location.reload());

/** The team, null when it is none of mine. */
async function found(api) {
  try {
    const { data: team, seq, epoch } = await api.get(`/v1/teams/${encodeURIComponent(teamId)}`, { team: teamId });
    return { team, seq, epoch };
  } catch (error) {
    if (error instanceof Problem && (error.status === 404 || error.status === 400)) return { team: null };
    throw error;
  }
}

function show(team) {
  document.title = `${team.name} · Settings · TaskForge`;
  byId("team-name").textContent = team.name;
  byId("back").href = `/#/${team.id}`;
  byId("webhooks").href = `/dashboard/webhooks#/${team.id}`;
}

/** Not a member any more: to whatever board there is. */
function gone(team) {
  leave({ note: `You are no longer a member of ${team.name}.` });
}

/**
 * Follow the team's feed and load anew what an event is about. Of the feed only the positions matter here; several events
 * that come together are one load. An own new role changes what the page may offer, so it is opened anew.
 */
function follow(api, me, { members, invitations, seq, epoch }) {
  let timer = 0;
  const reload = () => {
    clearTimeout(timer);
    timer = setTimeout(() => Promise.all([members.load(), invitations.load()]).catch((error) => toast(error.message, "error")), TOGETHER_MS);
  };
  const place = new Place({ seq, epoch }, (event) => {
    if (event.type === "member.role_changed" && event.data.member.user_id === me.id) location.reload();
    else if (event.type.startsWith("member.")) reload();
    else if (event.type === "team.updated") show({ id: teamId, ...event.data.team });
  });
  const feed = new Feed(api, teamId, place, { state: () => undefined, removed: () => gone(members.team), reloaded: reload });
  feed.start();
}
