/**
 * When a task is due, as people read it: a date belongs to the team's calendar and is the same for everybody, an instant
 * is shown where the reader is. The rules are those of the server (docs/dates.md).
 */

import { h } from "./dom.js";

const DAY_MS = 86_400_000;
const REFRESH_MS = 20_000;
const SHORT = { day: "numeric", month: "short" };
const WITH_YEAR = { ...SHORT, year: "numeric" };
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

/** The date that a panel shows of `due` (a date, an instant or null). */
export function dayOf(due, zone) {
  if (!due) return "";
  return isDate(due) ? due : dayIn(new Date(due), zone);
}

/** A task with `due`, its date or its instant: a panel edits one field, whichever of the two it is. */
export function withDue(task) {
  return { ...task, due: task.due_on ?? task.due_at ?? null };
}

/** The fields to send for a patch that may have `due`, a date: it takes the place of an instant. */
export function asFields({ due, ...patch }, before) {
  if (due === undefined) return patch;
  const instead = before && !isDate(before) ? { due_at: null } : {};
  return { ...patch, due_on: due, ...instead };
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

function isDate(due) {
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
  const shape = isDate(due) ? { dateStyle: "full", timeZone: "UTC" } : { dateStyle: "full", timeStyle: "short" };
  return `Due ${new Intl.DateTimeFormat(undefined, shape).format(new Date(due))}${state === "late" ? " (overdue)" : ""}`;
}

function shortOf(due) {
  const moment = new Date(due);
  // A date is formatted as the UTC day that it was parsed to, so that no zone moves it.
  const zone = isDate(due) ? { timeZone: "UTC" } : {};
  const year = isDate(due) ? Number(due.slice(0, 4)) : moment.getFullYear();
  return new Intl.DateTimeFormat(undefined, { ...(year === new Date().getFullYear() ? SHORT : WITH_YEAR), ...zone }).format(moment);
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
