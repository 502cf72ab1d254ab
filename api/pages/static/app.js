/** The page: which of its screens shows, and what ties them together. */

import { Api } from "./api.js";
import { note, wanted } from "./detour.js";
import { ColumnsDialog } from "./columns.js";
import { byId, h, toast } from "./dom.js";
import { Founding, Gate, askedForm } from "./gate.js";
import { Inbox } from "./inbox.js";
import { Moving } from "./moving.js";
import { Panel } from "./panel.js";
import { Sections } from "./panel-sections.js";
import { Reports } from "./reports.js";
import { Session, SessionEnded } from "./session.js";
import { showMe } from "./shell.js";
import { OpenTeam } from "./team.js";
import { View } from "./view.js";

const LAST_TEAM = "taskforge.team";
const SCREENS = ["gate", "founding", "workplace", "trouble", "loading"];
const CONNECTION = { connecting: "connecting…", live: "live", reconnecting: "reconnecting…" };

const session = new Session();
const api = new Api(session);
const view = new View(byId("columns"), makeAdd, loadMore);
let teams = [];
let open = null;
let person = null;

const gate = new Gate(api, session, start);
const founding = new Founding(api, async (team) => {
  teams = [...teams, team];
  await openTeam(team.id);
});
const panel = new Panel({
  save: (id, patch, version) => open.save(id, patch, version),
  archive: (id) => open.archive(id),
  fetch: (id) => open.fetch(id),
  dates: (query) => open.datesOf(query),
  mayWrite: () => open.mayWrite,
  closed: (id) => view.focus(id),
}, new Sections(api, () => person));
const inbox = new Inbox(api, (item) => guarded(() => showItem(item)), () => person?.time_zone);
const reports = new Reports(api);
byId("print-report").addEventListener("click", () => {
  byId("menu").hidePopover();
  reports.open(open.team);
});
const columns = new ColumnsDialog((work) => open.changeColumns(work));
byId("edit-columns").addEventListener("click", () => columns.open(open.board));
new Moving(view, {
  move: (id, column, index) => open.move(id, column, index),
  open: (id) => panel.open(open, id),
  mayWrite: () => open.mayWrite,
});

session.addEventListener("ended", (event) => {
  leaveTeam();
  showGate(event.detail === "expired" ? "Your session has ended. Please sign in again." : "");
});
for (const button of [byId("sign-out"), ...document.querySelectorAll(".out")]) button.addEventListener("click", signOut);
byId("retry").addEventListener("click", () => start());
byId("found-cancel").addEventListener("click", () => show("workplace"));
byId("teams").addEventListener("change", onTeamChosen);
window.addEventListener("hashchange", () => {
  const [wanted, task] = placeInAddress();
  if (session.signedIn && teams.some((team) => team.id === wanted)) guarded(() => showTask(wanted, task));
});
const asked = askedForm();
if (asked === null) start();
else {
  show("gate");
  gate.showAsked(asked);
}

function show(screen) {
  for (const id of SCREENS) byId(id).hidden = id !== screen;
}

function showGate(note = "") {
  show("gate");
  gate.show("sign-in", note);
}

/** From tokens to an open board. */
async function start() {
  const brought = note();
  if (!session.signedIn) {
    showGate(brought);
    return;
  }
  if (brought !== "") toast(brought);
  const invited = gate.takeInvitation();
  if (invited !== null) {
    show("gate");
    gate.showAsked(invited);
    return;
  }
  show("loading");
  const page = wanted();
  if (page !== null) {
    location.replace(page);
    return;
  }
  await guarded(async () => {
    const [{ data: me }, found] = await Promise.all([api.get("/v1/me"), api.list("/v1/teams")]);
    teams = found;
    person = me;
    showMe(me);
    if (teams.length === 0) showFounding(true);
    else await showTask(preferredTeam(), placeInAddress()[1]);
    inbox.refresh();
  });
}

/** Run `work`; without a server, say so calmly and offer another try. */
async function guarded(work) {
  try {
    await work();
  } catch (error) {
    if (error instanceof SessionEnded) return;
    byId("trouble-text").textContent = error.message;
    show("trouble");
  }
}

function showFounding(first) {
  show("founding");
  founding.show(first);
}

/** The team, and what of it: a mail links to a card as `/#/<team>/<task>`, and to reports as `/#/<team>/reports`. */
function placeInAddress() {
  return location.hash.replace(/^#\/?/u, "").split("/");
}

function preferredTeam() {
  const wanted = [placeInAddress()[0], localStorage.getItem(LAST_TEAM)].find((id) => teams.some((team) => team.id === id));
  return wanted ?? teams[0].id;
}

/** The team's board, unless it is there, and on it the task, also one that stands below the cards shown so far. */
async function showTask(team, id) {
  if (team !== open?.team.id) await openTeam(team);
  if (!id || team !== open?.team.id) return;
  history.replaceState(null, "", `#/${team}`);
  if (id === "reports") {
    await reports.open(open.team);
    return;
  }
  if (id === panel.openId && byId("panel").open) return;
  const found = open.board.confirmed(id) ?? (await open.fetch(id));
  if (team !== open?.team.id) return;
  if (found === undefined) toast("This task is not on the board any more.");
  else panel.open(open, id, found);
}

/** What a notification is about. */
async function showItem({ kind, team_id: team, task_id: task, data }) {
  if (kind.startsWith("webhook.")) {
    location.assign(`/dashboard/webhooks#/${team}/${data?.webhook_id ?? ""}`);
    return;
  }
  await showTask(team, task);
  if (kind === "report.ready" && team === open?.team.id) reports.open(open.team);
}

function leaveTeam() {
  panel.close();
  inbox.close();
  columns.close();
  reports.leave();
  open?.close();
  open = null;
}

async function openTeam(id) {
  leaveTeam();
  show("loading");
  setConnection("connecting");
  const mine = new OpenTeam(api, teams.find((team) => team.id === id), view, {
    state: (state) => open === mine && setConnection(state),
    removed: () => open === mine && onRemoved(mine.team),
    changed: (change) => open === mine && onChanged(change),
    team: () => open === mine && showTeam(mine),
    columns: () => open === mine && onColumns(mine),
    happened: (event) => open === mine && onHappened(event),
    notice: (operation) => open === mine && onNotice(operation),
    reloaded: () => open === mine && panel.sections.reload(),
  });
  open = mine;
  await mine.load();
  if (open !== mine) return;
  localStorage.setItem(LAST_TEAM, id);
  history.replaceState(null, "", `#/${id}`);
  showTeam(mine);
  byId("team-settings").href = `/team-settings#/${id}`;
  show("workplace");
}

/** Its name, and whether this person may change anything. */
function showTeam({ team, mayWrite, mayManage }) {
  teams = teams.map((one) => (one.id === team.id ? team : one));
  document.title = `${team.name} · TaskForge`;
  listTeams(team.id);
  byId("columns").dataset.readonly = String(!mayWrite);
  byId("edit-columns").hidden = !mayManage;
  byId("webhooks").hidden = !mayManage;
  byId("webhooks").href = `/dashboard/webhooks#/${team.id}`;
  panel.sections.redraw();
}

function listTeams(current) {
  const options = teams.map((team) => h("option", { value: team.id }, team.name));
  byId("teams").replaceChildren(...options, h("hr"), h("option", { value: "new" }, "New team…"));
  byId("teams").value = current;
}

function onTeamChosen(event) {
  const id = event.target.value;
  if (id !== "new") {
    guarded(() => openTeam(id));
    return;
  }
  byId("teams").value = open.team.id;
  showFounding(false);
}

function onRemoved(team) {
  toast(`You are no longer a member of ${team.name}.`, "error");
  leaveTeam();
  start();
}

function onHappened(event) {
  panel.sections.follow(event);
  if (event.actor !== person?.id) inbox.follow();
}

/** Long work of this person has moved on; what comes of it may be in the inbox, too. */
function onNotice(operation) {
  reports.follow(operation);
  inbox.follow();
}

/** What shows columns beside the board follows. */
function onColumns({ board }) {
  columns.follow(board);
  panel.followColumns();
}

async function onChanged({ id, mine }) {
  if (id !== panel.openId || mine) return;
  const { board } = open;
  const task = board.confirmed(id) ?? (board.complete ? undefined : await open.fetch(id).catch(() => null));
  if (task !== null && id === panel.openId && board === open?.board) panel.follow(task);
}

/** The next page of a column; false when it could not be loaded. */
async function loadMore(column) {
  try {
    await open?.more(column);
    return true;
  } catch (error) {
    if (!(error instanceof SessionEnded)) toast(error.message, "error");
    return false;
  }
}

function setConnection(state) {
  const element = byId("connection");
  element.dataset.state = state;
  element.lastElementChild.textContent = CONNECTION[state];
}

async function signOut() {
  try {
    await api.post("/v1/auth/logout", undefined, { keyed: false });
  } catch (error) {
    // The refresh token is forgotten here either way; the server forgets it when it expires.
    if (!(error instanceof SessionEnded)) toast(error.message, "error");
  }
  session.end();
}

/** The foot of a column: a quiet button that turns into a one-line form, and stays open for the next task. */
function makeAdd(column) {
  const input = h("input", { type: "text", maxlength: "500", "aria-label": "Title of the new task", placeholder: "What needs doing?", autocomplete: "off" });
  const form = h("form", { class: "add-form", hidden: true }, input);
  const button = h("button", { type: "button", class: "add" }, h("span", { "aria-hidden": "true" }, "+"), " Add task");
  const toggle = (opened) => {
    form.hidden = !opened;
    button.hidden = opened;
  };
  button.addEventListener("click", () => {
    toggle(true);
    input.focus();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    toggle(false);
    button.focus();
  });
  input.addEventListener("blur", () => input.value.trim() === "" && toggle(false));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const title = input.value.trim();
    if (title === "") return;
    input.value = "";
    try {
      await open.add(column, title);
    } catch (error) {
      toast(error.message, "error");
      if (input.value === "") input.value = title;
      toggle(true);
    }
  });
  return h("div", { class: "column-foot" }, button, form);
}
