/** What somebody is told, and how: each switch is saved as it is turned. */

import { byId, h, toast } from "./dom.js";
import { SessionEnded } from "./session.js";
import { option } from "./shell.js";

const PATH = "/v1/me/notification-preferences";
const CHANNELS = { in_app: "here", mail: "by mail" };
const HOURS = Array.from({ length: 24 }, (_, hour) => hour);

export async function showMail(api) {
  const { data } = await api.get(PATH);
  byId("told").replaceChildren(...data.kinds.map((kind) => row(api, kind)));
  const hour = byId("digest-hour");
  hour.replaceChildren(...HOURS.map((one) => option(String(one), `${String(one).padStart(2, "0")}:00`, String(data.digest_hour))));
  let before = hour.value;
  hour.addEventListener("change", async () => {
    if (await saved(api, { digest_hour: Number(hour.value) })) before = hour.value;
    else hour.value = before;
  });
}

function row(api, kind) {
  const cells = Object.keys(CHANNELS).map((channel) => h("td", null, kind[channel] === null ? null : box(api, kind, channel)));
  return h("tr", null, h("th", { scope: "row" }, kind.about), ...cells);
}

function box(api, kind, channel) {
  const name = `${kind.kind}/${channel}`;
  const input = h("input", { type: "checkbox", name, checked: kind[channel], "aria-label": `${CHANNELS[channel]}, ${kind.about}` });
  input.addEventListener("change", async () => {
    const wanted = input.checked;
    if (!(await saved(api, { kinds: { [kind.kind]: { [channel]: wanted } } }))) input.checked = !wanted;
  });
  return input;
}

/** Whether the server has it now. */
async function saved(api, patch) {
  const said = byId("mail-result");
  said.textContent = "";
  try {
    await api.patch(PATH, patch);
    said.textContent = "Saved.";
    return true;
  } catch (error) {
    if (!(error instanceof SessionEnded)) toast(error.message, "error");
    return false;
  }
}
