/**
 * The dashboard of webhooks: a team's webhooks, one of them with its delivery log, and the form that makes and changes
 * one. Which of these shows stands behind # in the address: `#/<team>`, `…/new`, `…/<webhook>`, `…/<webhook>/edit`.
 */

import { Problem } from "./api.js";
import { leave } from "./detour.js";
import { announce, byId, toast } from "./dom.js";
import { Feed } from "./feed.js";
import { Place } from "./place.js";
import { Polling } from "./polling.js";
import { SessionEnded } from "./session.js";
import { Shell, option } from "./shell.js";
import { Webhook } from "./webhook.js";
import { WebhookForm } from "./webhook-form.js";
import { WebhookList } from "./webhook-list.js";

const LAST_TEAM = "taskforge.team";
const VIEWS = ["all", "one", "editing", "refusal"];
const CONNECTION = { connecting: "connecting…", live: "live", reconnecting: "reconnecting…" };

class Dashboard {
  #made = null;
  #polling = null;
  #turn = 0;

  constructor(api, me, team) {
    this.api = api;
    this.me = me;
    this.team = team;
    const address = (rest = "") => `#/${team.id}${rest === "" ? "" : `/${rest}`}`;
    this.list = new WebhookList(api, team, address);
    this.one = new Webhook(api, team, address, (words) => this.#back(words));
    this.form = new WebhookForm(api, team, (hook) => this.#saved(hook));
    byId("to-all").href = address();
    window.addEventListener("hashchange", () => this.#onAddress());
  }

  /** Show what the address says. The last address that was asked for wins; `moved`: it is not the first one. */
  async show(moved = false) {
    const turn = (this.#turn += 1);
    const [, id = "", more = ""] = placeInAddress();
    const made = this.#made?.id === id ? this.#made : null;
    this.#made = null;
    this.#polling?.stop();
    this.one.close();
    try {
      const view = await this.#filled(id, more, made);
      if (turn !== this.#turn) return;
      reveal(view);
      if (made?.secret) byId("secret-text").focus();
      else if (moved && view !== "editing") byId(view).querySelector("h1").focus();
    } catch (error) {
      if (error instanceof SessionEnded || turn !== this.#turn) return;
      if (!isAbsent(error)) throw error;
      refuse("There is no such webhook in this team, or it was deleted.");
    }
  }

  async #filled(id, more, made) {
    if (id === "") {
      await this.list.load();
      this.#polling = new Polling(() => this.#reload());
      return "all";
    }
    if (id === "new" || more === "edit") {
      const hook = id === "new" ? null : (await this.api.get(`/v1/webhooks/subscriptions/${encodeURIComponent(id)}`, { team: this.team.id })).data;
      reveal("editing");
      await this.form.open(hook, `#/${this.team.id}${hook === null ? "" : `/${hook.id}`}`);
      return "editing";
    }
    await this.one.open(id, made);
    return "one";
  }

  async #reload() {
    try {
      await this.list.load();
    } catch (error) {
      if (!(error instanceof SessionEnded)) announce(error.message);
    }
    return false;
  }

  #saved(hook) {
    this.#made = hook;
    location.hash = `#/${this.team.id}/${hook.id}`;
  }

  #back(words) {
    toast(words);
    location.hash = `#/${this.team.id}`;
  }

  async #onAddress() {
    if (placeInAddress()[0] !== this.team.id) {
      location.reload();
      return;
    }
    try {
      await this.show(true);
      window.scrollTo(0, 0);
    } catch (error) {
      toast(error.message, "error");
    }
  }

  /** What happens in the team is sent within moments; who may not manage it any more sees nothing of this. */
  follow(place) {
    const feed = new Feed(this.api, this.team.id, new Place(place, (event) => this.#happened(event)), {
      state: showConnection,
      removed: () => leave({ note: `You are no longer a member of ${this.team.name}.` }),
      reloaded: () => this.one.follow(),
    });
    feed.start();
  }

  #happened(event) {
    if (event.type === "member.role_changed" && event.data.member.user_id === this.me.id) location.reload();
    else this.one.follow();
  }
}

const shell = new Shell(async (api, me) => {
  const teams = await api.list("/v1/teams");
  const wanted = placeInAddress()[0];
  const id = wanted || preferred(teams);
  byId("teams").replaceChildren(...teams.map((team) => option(team.id, team.name, id)));
  byId("teams").addEventListener("change", () => (location.hash = `#/${byId("teams").value}`));
  const found = id === undefined ? null : await teamOf(api, id);
  if (found === null) {
    byId("teams").closest("label").hidden = teams.length === 0;
    refuse(wanted || teams.length > 0 ? "There is no such team, or you are not in it." : "You are in no team yet.");
    window.addEventListener("hashchange", () => location.reload());
    return;
  }
  const { team, place } = found;
  history.replaceState(null, "", `#/${[team.id, ...placeInAddress().slice(1)].join("/")}`);
  localStorage.setItem(LAST_TEAM, team.id);
  document.title = `Webhooks · ${team.name} · TaskForge`;
  byId("back").href = `/#/${team.id}`;
  if (!team.permissions.includes("manage_team")) {
    refuse(`The webhooks of ${team.name} are for its owners and admins.`);
    window.addEventListener("hashchange", () => location.reload());
    return;
  }
  const dashboard = new Dashboard(api, me, team);
  await dashboard.show();
  dashboard.follow(place);
});
shell.open();

function placeInAddress() {
  return location.hash.replace(/^#\/?/u, "").split("/");
}

/** The team that was open last, if somebody may see its webhooks; else the first of which they may. */
function preferred(teams) {
  const mine = teams.filter((team) => team.permissions.includes("manage_team"));
  const last = localStorage.getItem(LAST_TEAM);
  return (mine.find((team) => team.id === last) ?? mine[0] ?? teams[0])?.id;
}

/** The team and how far its history goes, null when it is none of mine. */
async function teamOf(api, id) {
  try {
    const { data: team, seq, epoch } = await api.get(`/v1/teams/${encodeURIComponent(id)}`, { team: id });
    return { team, place: { seq, epoch } };
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

function isAbsent(error) {
  return error instanceof Problem && (error.status === 404 || error.status === 400);
}

function reveal(view) {
  for (const id of VIEWS) byId(id).hidden = id !== view;
}

function refuse(words) {
  byId("refusal-words").textContent = words;
  reveal("refusal");
}

function showConnection(state) {
  const element = byId("connection");
  element.hidden = false;
  element.dataset.state = state;
  element.lastElementChild.textContent = CONNECTION[state];
}
