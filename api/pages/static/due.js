/**
 * When a task is due, as people read it: a date belongs to the team's calendar and is the same for everybody, an instant
 * is shown where the reader is. The rules are those of the server (docs/dates.md).
 */

import { h } from "./dom.js";

const DAY_MS = 86_400_000;
const REFRESH_MS = 20_000;
const SHORT = { day: "numeric", month: "short" };
const WITH_YEAR = { ...SHORT, year: "numeric" };
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const FINISHED = ["done", "cancelled"];

const calendars = new Map();

/** The date (YYYY-MM-DD) that it is in a zone; in UTC where this browser does not know the zone. */
export function dayIn(moment, zone) {
  if (!calendars.has(zone)) calendars.set(zone, calendar(zone));
  const parts = Object.fromEntries(calendars.get(zone).formatToParts(moment).map(({ type, value }) => [type, value]));
  return `${parts.year.padStart(4, "0")}-${parts.month}-${parts.day}`;
}

function calendar(zone) {
  const shape = { year: "numeric", month: "2-digit", day: "2-digit", calendar: "gregory", numberingSystem: "latn" };
  try {
    return new Intl.DateTimeFormat("en", { ...shape, timeZone: zone });
  } catch {
    return new Intl.DateTimeFormat("en", { ...shape, timeZone: "UTC" });
  }
}

/** The reader's time zone, by its IANA name. */
export function localZone() {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** The date that a panel shows of `due` (a date, an instant or null): of an instant the one where the reader is. */
export function dayOf(due) {
  if (!due) return "";
  return isDate(due) ? due : dayIn(new Date(due), localZone());
}

/** The time of day (HH:MM) where the reader is; empty for what is no instant. */
export function timeOf(due) {
  if (!due || isDate(due)) return "";
  const moment = new Date(due);
  return [moment.getHours(), moment.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** When it is due, in words. */
export function dueWords(due) {
  return due ? new Intl.DateTimeFormat(undefined, spokenShape(due, "medium")).format(new Date(due)) : "no date";
}

/** A task with `due`, its date or its instant: a panel edits one field, whichever of the two it is. */
export function withDue(task) {
  return { ...task, due: task.due_on ?? task.due_at ?? null };
}

/** The fields to send for a patch that may have `due`: a date and an instant take each other's place. */
export function asFields({ due, ...patch }, before) {
  if (due === undefined) return patch;
  const gone = before ? { [fieldOf(before)]: null } : {};
  return { ...patch, ...gone, ...(due === null ? {} : { [fieldOf(due)]: due }) };
}

function fieldOf(due) {
  return isDate(due) ? "due_on" : "due_at";
}

/** What a card says of when its task is due; null when it never is. */
export function dueChip(task, zone) {
  const due = task.due_on ?? task.due_at;
  if (!due) return null;
  const finished = FINISHED.includes(task.status);
  const state = stateOf(due, zone, finished);
  const data = { due, zone, finished, state };
  const chip = h("time", { class: "due", data, datetime: due, title: titleOf(due, state) });
  chip.append(h("span", { class: "unseen" }, spoken(state)), shortOf(due));
  return chip;
}

/** Whether it is a date of the calendar, rather than an instant. */
export function isDate(due) {
  return due.length === "2026-03-01".length;
}

function stateOf(due, zone, finished) {
  const now = Date.now();
  if (finished) return "calm";
  if (isDate(due)) return due < dayIn(now, zone) ? "late" : due <= dayIn(now + DAY_MS, zone) ? "soon" : "calm";
  const left = new Date(due).getTime() - now;
  return left < 0 ? "late" : left < 2 * DAY_MS ? "soon" : "calm";
}

function spoken(state) {
  return state === "late" ? "overdue since " : "due ";
}

function titleOf(due, state) {
  return `Due ${new Intl.DateTimeFormat(undefined, spokenShape(due, "full")).format(new Date(due))}${state === "late" ? " (overdue)" : ""}`;
}

/** A date is formatted as the UTC day that it was parsed to, so that no zone moves it. */
function spokenShape(due, dateStyle) {
  return isDate(due) ? { dateStyle, timeZone: "UTC" } : { dateStyle, timeStyle: "short" };
}

function shortOf(due) {
  const moment = new Date(due);
  // A date is formatted as the UTC day that it was parsed to, so that no zone moves it.
  const zone = isDate(due) ? { timeZone: "UTC" } : {};
  const year = isDate(due) ? Number(due.slice(0, 4)) : moment.getFullYear();
  const shape = { ...(year === new Date().getFullYear() ? SHORT : WITH_YEAR), ...zone };
  const day = new Intl.DateTimeFormat(undefined, shape).format(moment);
  return isDate(due) ? day : `${day}, ${CLOCK.format(moment)}`;
}

/** Time goes on while a board is open: what has become overdue is seen without a change of its task. */
setInterval(() => {
  for (const chip of document.querySelectorAll("time.due[data-finished=false]")) {
    const state = stateOf(chip.dataset.due, chip.dataset.zone, false);
    if (state === chip.dataset.state) continue;
    chip.dataset.state = state;
    chip.title = titleOf(chip.dataset.due, state);
    chip.firstElementChild.textContent = spoken(state);
  }
}, REFRESH_MS);
