/** Where the account is signed in. */

import { byId, h } from "./dom.js";
import { confirmed } from "./dialogs.js";
import { doing, gone, moment } from "./shell.js";

const PROGRAMS = [
  ["Edge", /\bEdg/u],
  ["Opera", /\bOPR\//u],
  ["Firefox", /\bFirefox\//u],
  ["Chrome", /\b(?:Headless)?Chrome\//u],
  ["Safari", /\bSafari\//u],
];
const SYSTEMS = [
  ["Windows", /\bWindows\b/u],
  ["iOS", /\b(?:iPhone|iPad)\b/u],
  ["Android", /\bAndroid\b/u],
  ["macOS", /\bMac OS X\b/u],
  ["Linux", /\bLinux\b/u],
];

export async function showSessions(api) {
  const list = byId("sessions");
  const others = byId("end-others");

  async function load() {
    const sessions = await api.list("/v1/me/sessions");
    list.replaceChildren(...sessions.map((session) => row(session, end)));
    others.hidden = sessions.length < 2;
  }

  async function end(session) {
    await api.delete(`/v1/me/sessions/${session.id}`);
    await load();
    gone("sessions-title", "The session has ended.");
  }

  doing(others, async () => {
    const text = "Every other browser and program that is signed in has to sign in again. API keys go on working.";
    if (!(await confirmed({ title: "End all other sessions?", text, action: "End them" }))) return;
    await api.delete("/v1/me/sessions?others=true");
    await load();
    gone("sessions-title", "All other sessions have ended.");
  });
  document.addEventListener("sessions-changed", load);
  await load();
}

function row(session, end) {
  const name = programName(session.user_agent);
  const from = session.ip === null ? "" : ` · ${session.ip}`;
  const about = h("p", { class: "help" }, "Last used ", moment(session.last_used_at), from);
  const side = session.current
    ? h("span", { class: "badge badge-good" }, "This browser")
    : doing(h("button", { type: "button", class: "secondary", "aria-label": `End the session of ${name}` }, "End"), () => end(session));
  return h("li", { class: "row", data: { session: session.id } }, h("div", { class: "row-main" }, h("p", { class: "row-title", title: session.user_agent }, name), about), side);
}

/** "Firefox on Linux" for what browsers say of themselves, else the beginning of it. */
export function programName(agent) {
  const program = PROGRAMS.find(([, pattern]) => pattern.test(agent))?.[0];
  const system = SYSTEMS.find(([, pattern]) => pattern.test(agent))?.[0];
  if (program === undefined) return agent.slice(0, 60) || "An unknown program";
  return system === undefined ? program : `${program} on ${system}`;
}
