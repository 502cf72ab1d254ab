/**
 * The panel's controls of when a task is due: a date, and a time of day that may stay empty. With a time it is an instant,
 * shown and chosen where the reader is; without, a date of the team's calendar.
 */

import { byId } from "./dom.js";
import { dayOf, isDate, localZone, timeOf } from "./due.js";

const MINUTE_MS = 60_000;

/** The value of the controls (a date, an instant or null). What was not touched of `base` stays exact, its seconds too. */
export function readDue(day, base) {
  const time = timeControl(day);
  if (day.value === dayOf(base) && time.value === timeOf(base)) return base ?? null;
  if (day.value === "") return null;
  if (time.value === "") return day.value;
  const chosen = new Date(`${day.value}T${time.value}`).getTime();
  const rest = time.value === timeOf(base) ? beyondMinute(new Date(base).getTime()) : 0;
  return new Date(chosen + rest).toISOString().replace(".000Z", "Z");
}

/** Show a value. */
export function writeDue(day, due) {
  day.value = dayOf(due);
  timeControl(day).value = timeOf(due);
  followDue(day);
}

/** Whether both are whole: the browser says of a half-written date or time that it is empty. */
export function dueIsWhole(day) {
  return !day.validity.badInput && !timeControl(day).validity.badInput;
}

/** A time needs a date; whose time it is, is said where the team lives by another clock. */
export function followDue(day) {
  const [time, note] = [timeControl(day), byId("p-due-note")];
  time.disabled = day.value === "" && time.value === "" && dueIsWhole(day);
  if (!dueIsWhole(day)) note.textContent = "Please write the whole date and time, or clear it.";
  else if (day.value === "" && time.value !== "") note.textContent = "A time needs a date; without one it is dropped.";
  else note.textContent = time.value !== "" && localZone() !== day.dataset.zone ? `Your time (${localZone()}). The team lives by ${day.dataset.zone}.` : "";
}

function beyondMinute(ms) {
  return ms - Math.floor(ms / MINUTE_MS) * MINUTE_MS;
}

function timeControl(day) {
  return day.form.elements.namedItem("due_time");
}
