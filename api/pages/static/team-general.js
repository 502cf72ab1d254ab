/** A team's name, key, time zone, and what the limits of its columns do. */

import { byId } from "./dom.js";
import { handle, say } from "./forms.js";
import { zones } from "./shell.js";

export function showGeneral(api, team) {
  const form = byId("general");
  const may = team.permissions.includes("manage_team");
  byId("general-zone").closest(".field").hidden = team.time_zone === undefined;
  fill(form, team);
  byId("general-fields").disabled = !may;
  byId("general-save").hidden = !may;
  byId("general-note").hidden = may;
  handle(form, async (values) => {
    const { data } = await api.patch(`/v1/teams/${team.id}`, patch(values, team), { team: team.id });
    fill(form, data);
    byId("team-name").textContent = data.name;
    say(form, "Saved.");
  });
}

function fill(form, team) {
  form.elements.namedItem("name").value = team.name;
  byId("general-key").value = team.key;
  if (team.time_zone !== undefined) byId("general-zone").replaceChildren(...zones(team.time_zone));
  byId("general-wip").value = team.wip;
}

/** The merge patch. */
function patch({ name, wip, time_zone: zone }, team) {
  const own = { name, wip };
  return team.time_zone === undefined ? own : { ...own, time_zone: zone };
}
