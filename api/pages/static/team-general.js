/** A team's name, key, time zone and limits of work in progress. */

import { STATUS_NAMES } from "./card.js";
import { byId, h } from "./dom.js";
import { handle, say } from "./forms.js";
import { zones } from "./shell.js";

export function showGeneral(api, team) {
  const form = byId("general");
  const may = team.permissions.includes("manage_team");
  byId("limits").replaceChildren(...Object.entries(STATUS_NAMES).map(([status, name]) => limit(status, name)));
  byId("general-zone").closest(".field").hidden = team.time_zone === undefined;
  fill(form, team);
  byId("general-fields").disabled = !may;
  byId("general-save").hidden = !may;
  byId("general-note").hidden = may;
  handle(form, async (values) => {
    const { data } = await api.patch(`/v1/teams/${team.id}`, patch(values, team), { team: team.id }).catch(placed);
    fill(form, data);
    byId("team-name").textContent = data.name;
    say(form, "Saved.");
  });
}

function limit(status, name) {
  const input = h("input", { id: `limit-${status}`, name: `wip_limits.${status}`, type: "number", min: "1", max: "10000", step: "1", inputmode: "numeric", placeholder: "none" });
  return h("div", { class: "field" }, h("label", { for: input.id }, name), input);
}

function fill(form, team) {
  form.elements.namedItem("name").value = team.name;
  byId("general-key").value = team.key;
  if (team.time_zone !== undefined) byId("general-zone").replaceChildren(...zones(team.time_zone));
  for (const status of Object.keys(STATUS_NAMES)) byId(`limit-${status}`).value = team.wip_limits[status] ?? "";
}

/** The merge patch: an empty limit is none. */
function patch({ name, time_zone: zone, ...limits }, team) {
  const wip = Object.entries(limits).map(([field, value]) => [field.split(".")[1], value === "" ? null : Number(value)]);
  const own = { name, wip_limits: Object.fromEntries(wip) };
  return team.time_zone === undefined ? own : { ...own, time_zone: zone };
}

/** A limit's problem belongs to its own field: `/wip_limits/done` is the input `wip_limits.done`. */
function placed(problem) {
  for (const { pointer, detail } of problem.body?.errors ?? []) problem.fields.set(pointer.slice(1).replaceAll("/", "."), detail);
  throw problem;
}
