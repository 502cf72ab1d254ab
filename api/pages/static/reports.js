/**
 * Printing a report of the open team: what of, from when to when, how far it is, and the download; and the reports that
 * are kept. How far it is comes by the feed, and is asked for as well, since what the feed says of it may be lost.
 */

import { pause } from "./api.js";
import { byId, h, toast } from "./dom.js";
import { dayIn } from "./due.js";
import { handle } from "./forms.js";
import { SessionEnded } from "./session.js";
import { day, doing, moment, option } from "./shell.js";

const KINDS = {
  board: ["The board", "Every column with its tasks as they are now; what was created and done in the period."],
  overdue: ["What is overdue", "What is late, by assignee, and for how long."],
  activity: ["What happened", "What happened to tasks, day by day, and who took part."],
};
const PERIODS = { 7: "the last 7 days", 28: "the last 4 weeks", 91: "the last 3 months", all: "all the time before", own: "between two dates" };
const RUNNING = new Set(["waiting", "running", "compensating"]);
const POLL_MS = 2_000;
const SHOWN = 5;
const DAY_MS = 86_400_000;

export class Reports {
  #team = null;
  #job = null;
  #cursor = null;

  constructor(api) {
    this.api = api;
    this.dialog = byId("reports");
    this.form = byId("report-form");
    this.state = byId("report-state");
    this.list = byId("report-list");
    this.more = byId("report-more");
    byId("report-kinds").append(...Object.entries(KINDS).map(([kind, words], index) => choice(kind, words, index === 0)));
    this.form.addEventListener("change", () => this.#offer());
    this.more.addEventListener("click", () => this.#guarded(() => this.#extend()));
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.close());
    byId("report-close").addEventListener("click", () => this.close());
    handle(this.form, (values) => this.#print(values));
  }

  /** Offer what may be printed of a team; one that is being printed goes on and shows. */
  async open(team) {
    if (team.id !== this.#team?.id) this.leave();
    this.#team = team;
    this.#offer();
    this.dialog.showModal();
    await this.#guarded(() => this.#reload());
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  /** The team is not open any more. What is being printed goes on without this page. */
  leave() {
    this.close();
    this.#team = null;
    this.#job = null;
    this.form.reset();
    this.state.replaceChildren();
    this.list.replaceChildren();
  }

  /** The feed says how far an operation of this person is; what came of it, only the operation itself does. */
  follow({ id, status, progress }) {
    const job = this.#job;
    if (id !== job?.id || job.ended) return;
    advance(job, progress);
    if (!RUNNING.has(status)) this.#guarded(() => this.#ask(job));
  }

  get #path() {
    return `/v1/teams/${this.#team.id}/reports`;
  }

  get #options() {
    return { team: this.#team.id };
  }

  /** The periods that fit the kind, and the dates where somebody chooses them. */
  #offer() {
    const { elements } = this.form;
    const late = elements.namedItem("kind").value === "overdue";
    const select = elements.namedItem("period");
    const offered = Object.entries(PERIODS).filter(([value]) => late || value !== "all");
    if (select.length !== offered.length) {
      const before = select.value;
      select.replaceChildren(...offered.map(([value, name]) => option(value, name)));
      select.value = late ? "all" : before === "all" || before === "" ? "28" : before;
    }
    byId("report-dates").hidden = select.value !== "own";
    const today = this.#today;
    for (const name of ["from", "to"]) elements.namedItem(name).value ||= name === "to" ? today : daysBefore(today, 27);
  }

  /** The date that it is where the team lives. */
  get #today() {
    return dayIn(Date.now(), this.#team?.time_zone ?? "UTC");
  }

  async #print({ kind, period, from, to }) {
    const today = this.#today;
    const body = { kind };
    if (period === "own") Object.assign(body, { from, to });
    else if (period !== "all") Object.assign(body, { from: daysBefore(today, Number(period) - 1), to: today });
    const { data, location } = await this.api.post(this.#path, body, this.#options);
    const job = { id: data.id, location, name: KINDS[kind][0], ended: false, bar: h("progress", { max: 1, value: 0, "aria-label": "How much is printed" }) };
    this.#job = job;
    this.state.replaceChildren(h("span", null, "It is being printed…"), job.bar);
    this.#watch(job);
  }

  /** Until it has ended, whatever the feed says. */
  async #watch(job) {
    while (this.#job === job && !job.ended) {
      await pause(POLL_MS);
      await this.#guarded(() => this.#ask(job));
    }
  }

  async #ask(job) {
    const { data } = await this.api.get(job.location);
    if (this.#job !== job || job.ended) return;
    advance(job, data.progress);
    if (RUNNING.has(data.status)) return;
    job.ended = true;
    if (data.status === "succeeded") await this.#ready(job, data.result);
    else this.#failed(data);
  }

  async #ready({ name }, report) {
    const button = this.#download(report, "primary", `Download ${name}`);
    this.state.replaceChildren(h("span", null, `It is ready: ${about(report)}.`), button);
    if (this.dialog.open) button.focus();
    else toast("Your report is ready: see More, Print a report.");
    await this.#reload();
  }

  #failed({ error }) {
    this.state.replaceChildren(h("span", { class: "wrong", role: "alert" }, `It could not be printed. ${error ?? "Please try again later."}`));
    if (!this.dialog.open) toast("Your report could not be printed.", "error");
  }

  async #reload() {
    const page = await this.#page(null);
    this.#show(page, this.list.replaceChildren.bind(this.list));
  }

  async #extend() {
    this.#show(await this.#page(this.#cursor), this.list.append.bind(this.list));
  }

  async #page(cursor) {
    const query = new URLSearchParams(cursor === null ? { limit: SHOWN } : { limit: SHOWN, cursor });
    return (await this.api.get(`${this.#path}?${query}`, this.#options)).data;
  }

  #show({ items, next_cursor: cursor }, put) {
    put(...items.map((report) => this.#row(report)));
    this.#cursor = cursor;
    this.more.hidden = cursor === null;
    byId("reports-kept").hidden = this.list.childElementCount === 0;
  }

  #row(report) {
    const name = KINDS[report.kind]?.[0] ?? report.kind;
    const last = new Date(new Date(report.to).getTime() - 1).toISOString();
    const period = report.from === null ? [] : [day(report.from), " to ", day(last), " · "];
    const words = h("div", { class: "row-main" }, h("p", { class: "row-title" }, name),
      h("p", { class: "help" }, ...period, about(report), " · printed ", moment(report.created_at)));
    return h("li", { class: "row" }, words, this.#download(report, "secondary", `Download ${name}, printed ${report.created_at}`));
  }

  /** The address is good for minutes, so it is asked for when somebody wants the file. */
  #download({ id }, look, label) {
    const button = h("button", { type: "button", class: look, "aria-label": label }, "Download");
    return doing(button, async () => {
      const { data } = await this.api.get(`${this.#path}/${id}`, this.#options);
      window.location.assign(data.download_url);
    });
  }

  async #guarded(work) {
    try {
      byId("report-note").textContent = "";
      await work();
    } catch (error) {
      if (!(error instanceof SessionEnded)) byId("report-note").textContent = error.message;
    }
  }
}

function choice(kind, [name, words], checked) {
  const input = h("input", { type: "radio", name: "kind", value: kind, checked });
  return h("label", { class: "report-kind" }, input, h("span", null, h("b", null, name), h("span", { class: "help" }, words)));
}

/** What comes late says nothing of what has been done since. */
function advance({ bar }, progress) {
  bar.value = Math.max(bar.value, progress ?? 0);
}

function about({ pages, bytes }) {
  return `${pages} page${pages === 1 ? "" : "s"}, ${bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`}`;
}

function daysBefore(date, days) {
  return new Date(Date.parse(date) - days * DAY_MS).toISOString().slice(0, 10);
}
