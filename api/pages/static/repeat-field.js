/**
 * The panel's controls of whether a task repeats: by days, weeks, months, years, or a rule written by hand (RFC 5545,
 * docs/recurrence.md). Its value is the text "<when> <rule>", or null; a task that is never due does not repeat. Which
 * dates come next is asked of the server, so that the page has no arithmetic of its own.
 */

import { byId, h } from "./dom.js";
import { dayIn, isDate } from "./due.js";
import { readDue } from "./due-field.js";
import { sentence } from "./forms.js";
import { SessionEnded } from "./session.js";

const DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
const UNITS = { DAILY: "day", WEEKLY: "week", MONTHLY: "month", YEARLY: "year" };
const NTH = ["first", "second", "third", "fourth", "fifth"];
const SIMPLE = /^FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)(?:;INTERVAL=(\d+))?(?:;(BYDAY=[A-Z0-9,-]+|BYMONTHDAY=-1))?$/u;
const PAUSE_MS = 250;
const SHOWN = 3;

/** A task with `repeats`, what its series says, or null once the series has passed on to another task. */
export function withRepeat(task) {
  const series = task?.recurrence;
  return task && { ...task, repeats: series && series.next_id === null ? `${series.when} ${series.rule}` : null };
}

/** The fields to send for a patch that may have `repeats`. */
export function asRecurrence({ repeats, ...patch }) {
  if (repeats === undefined) return patch;
  return { ...patch, recurrence: repeats === null ? null : { when: repeats.slice(0, 4).trim(), rule: ruleOf(repeats) } };
}

/** The value in words. */
export function repeatWords(value) {
  return value === null ? "does not repeat" : ruleOf(value);
}

export class RepeatField {
  #asked = "";
  #timer = 0;

  /** `dates(query)` resolves to the next dates of a series. */
  constructor(dates) {
    this.dates = dates;
    this.task = null;
    this.control = byId("p-repeat");
    this.when = byId("p-repeat-when");
    this.every = byId("p-repeat-every");
    this.monthly = byId("p-repeat-monthly");
    this.rule = byId("p-repeat-rule");
    this.note = byId("p-repeat-note");
    this.days = byId("p-repeat-days");
    const name = new Intl.DateTimeFormat(undefined, { weekday: "short", timeZone: "UTC" });
    this.days.replaceChildren(...DAYS.map((day, index) => dayChoice(day, name.format(Date.UTC(2024, 0, 1 + index)))));
    this.control.addEventListener("change", () => this.#begin());
  }

  /** The task that is open, whose series is told of while nothing is changed. */
  follow(task) {
    this.task = task;
    this.#asked = "";
  }

  read() {
    const kind = this.control.value;
    if (kind === "" || this.#due === null) return null;
    const rule = kind === "RULE" ? this.rule.value.trim() : this.#built(kind);
    return rule === "" ? null : `${this.when.value} ${rule}`;
  }

  write(value) {
    const rule = value === null ? "" : ruleOf(value);
    const [, kind = "", every = "1", part = ""] = SIMPLE.exec(rule) ?? [];
    this.when.value = value?.startsWith("done") ? "done" : "due";
    this.control.value = kind;
    this.every.value = every;
    for (const box of this.days.querySelectorAll("input")) box.checked = kind === "WEEKLY" && part.slice("BYDAY=".length).split(",").includes(box.value);
    this.#offerMonthly(kind === "MONTHLY" ? part : "");
    this.rule.value = rule;
    // What these controls would write differently is left to whoever wrote it.
    if (rule !== "" && (kind === "" || this.#built(kind) !== rule)) this.control.value = "RULE";
    this.offer();
  }

  /** Show the controls that belong to what is chosen, and which dates come of it. */
  offer() {
    const kind = this.control.value;
    const simple = kind in UNITS;
    this.control.disabled = this.#due === null;
    this.when.hidden = kind === "";
    byId("p-repeat-interval").hidden = !simple;
    byId("p-repeat-unit").textContent = simple ? `${UNITS[kind]}${this.every.value === "1" ? "" : "s"}` : "";
    this.days.hidden = kind !== "WEEKLY";
    this.monthly.hidden = kind !== "MONTHLY";
    if (kind === "MONTHLY") this.#offerMonthly(this.monthly.value);
    this.rule.hidden = kind !== "RULE";
    this.#foretell();
  }

  /** When the task is due, by what stands in the panel. */
  get #due() {
    const control = byId("p-due");
    return readDue(control, this.task?.due ?? null);
  }

  /** The date of the team's calendar that a series would begin with. */
  get #start() {
    const due = this.#due;
    return isDate(due) ? due : dayIn(new Date(due), byId("p-due").dataset.zone);
  }

  /** Somebody has chosen another way to repeat: it begins as the task is due. */
  #begin() {
    if (this.control.value === "WEEKLY" && !this.days.querySelector(":checked")) {
      this.days.querySelector(`[value=${weekdayOf(this.#start)}]`).checked = true;
    }
    if (this.control.value === "RULE" && this.rule.value === "") this.rule.focus();
    this.offer();
  }

  #built(kind) {
    const every = Number(this.every.value);
    const parts = [`FREQ=${kind}`, every === 1 || this.every.value === "" ? "" : `INTERVAL=${this.every.value}`];
    const days = Array.from(this.days.querySelectorAll(":checked"), (box) => box.value);
    if (kind === "WEEKLY" && days.length > 0) parts.push(`BYDAY=${days.join(",")}`);
    if (kind === "MONTHLY") parts.push(this.monthly.value);
    return parts.filter((part) => part !== "").join(";");
  }

  /** On which day of each month: what fits the due date, and what is chosen. */
  #offerMonthly(chosen) {
    const due = this.#due === null ? null : this.#start;
    const choices = new Map([["", due === null ? "on its day" : `on day ${Number(due.slice(8))}`], ["BYMONTHDAY=-1", "on the last day"]]);
    for (const part of [...(due === null ? [] : weekdaysOf(due)), chosen].filter((one) => one.startsWith("BYDAY="))) choices.set(part, monthlyWords(part));
    if (!choices.has(chosen)) choices.set(chosen, chosen);
    this.monthly.replaceChildren(...[...choices].map(([value, text]) => h("option", { value }, text)));
    this.monthly.value = chosen;
  }

  #foretell() {
    const value = this.read();
    const series = this.task?.recurrence ?? null;
    if (value === null) {
      clearTimeout(this.#timer);
      this.#asked = "";
      this.note.textContent = this.#due === null ? "A task that has a due date can repeat." : series?.next_id ? "Its next task is made already." : "";
      return;
    }
    const query = new URLSearchParams(value === this.task?.repeats ? placeOf(series) : { rule: ruleOf(value), start: this.#start }).toString();
    if (query === this.#asked) return;
    this.#asked = query;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(query), PAUSE_MS);
  }

  async #ask(query) {
    let said;
    try {
      said = inWords(await this.dates(query));
    } catch (error) {
      if (error instanceof SessionEnded) return;
      said = sentence(error.message);
    }
    if (query === this.#asked) this.note.textContent = said;
  }
}

function ruleOf(value) {
  return value.slice(value.indexOf(" ") + 1);
}

/** Where a task stands in its series. */
function placeOf({ rule, start, on, number, time }) {
  return { rule, start, on, number, ...(time === null ? {} : { time }) };
}

function inWords(dates) {
  if (dates.length === 0) return "The series ends with this task.";
  const long = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
  const [first, ...others] = dates.slice(0, SHOWN).map((date) => new Date(date));
  const then = others.length === 0 ? "; that is the last one" : `, then ${others.map((date) => short.format(date)).join(", ")}`;
  return `Next: ${long.format(first)}${then}.`;
}

function dayChoice(day, text) {
  return h("label", { class: "day-choice" }, h("input", { type: "checkbox", name: "repeat_day", value: day }), h("span", null, text));
}

/** The weekday of a date, as rules write it. */
function weekdayOf(date) {
  return DAYS[(new Date(date).getUTCDay() + 6) % 7];
}

/** Which weekday of its month a date is, counted from the beginning, and from the end where it is the last. */
function weekdaysOf(date) {
  const day = Number(date.slice(8));
  const nth = Math.ceil(day / 7);
  const days = new Date(Date.UTC(Number(date.slice(0, 4)), Number(date.slice(5, 7)), 0)).getUTCDate();
  return [...(nth < 5 ? [`BYDAY=${nth}${weekdayOf(date)}`] : []), ...(day + 7 > days ? [`BYDAY=-1${weekdayOf(date)}`] : [])];
}

function monthlyWords(part) {
  const [, which, day] = /^BYDAY=(-?\d)([A-Z]{2})$/u.exec(part) ?? [];
  if (day === undefined) return part;
  const name = new Intl.DateTimeFormat("en", { weekday: "long", timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + DAYS.indexOf(day)));
  return which === "-1" ? `on the last ${name}` : `on the ${NTH[Number(which) - 1] ?? which} ${name}`;
}
