/** What a card looks like: one element per task, redrawn in place when the task changes. */

import { dueChip } from "./due.js";
import { h, icon } from "./dom.js";

export const STATUS_NAMES = {
  open: "Open",
  in_progress: "In progress",
  in_review: "In review",
  done: "Done",
  cancelled: "Cancelled",
};

export const PRIORITY_NAMES = { urgent: "Urgent", high: "High", medium: "Medium", low: "Low", none: "No priority" };

const LABELS_SHOWN = 3;
const BUBBLE = "M3 3.5h10a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1H7.5L4.5 14v-2.5H3a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1z";
const CLIP = "M13 7.5l-5.3 5.3a3 3 0 0 1-4.3-4.3l5.7-5.7a2 2 0 0 1 2.9 2.9l-5.5 5.5a1 1 0 0 1-1.4-1.4l4.8-4.8";

/** The card's list item; `draw` fills it. The focus moves between cards by arrow keys, so only one is in the tab order. */
export function makeCard(task, board) {
  const face = h("div", { class: "card-face", role: "button", tabindex: "-1", draggable: "true", "aria-describedby": "card-help" });
  const item = h("div", { class: "card", role: "listitem", data: { task: task.id } }, face);
  draw(item, task, board);
  return item;
}

/** Show the task as it is now. */
export function draw(item, task, board) {
  const face = item.firstElementChild;
  item.dataset.version = task.version ?? "";
  face.classList.toggle("is-over", task.status === "done" || task.status === "cancelled");
  face.replaceChildren(...parts(task, board));
}

function parts(task, board) {
  const labels = (task.label_ids ?? []).map((id) => board.labels.get(id)).filter((label) => label !== undefined);
  const zone = board.team?.time_zone ?? "UTC";
  const parts = [dueChip(task, zone), estimate(task), talk(task), files(task), assignee(task, board)];
  const foot = parts.filter((part) => part !== null);
  return [
    h("div", { class: "card-head" }, h("span", { class: "card-key" }, task.key ?? "…"), priority(task)),
    h("p", { class: "card-title" }, task.title),
    labels.length > 0 ? h("div", { class: "card-labels" }, ...labels.slice(0, LABELS_SHOWN).map(labelChip), more(labels)) : null,
    foot.length > 0 ? h("div", { class: "card-foot" }, ...foot) : null,
  ].filter((part) => part !== null);
}

function priority(task) {
  if (task.priority === "none") return null;
  const name = `${PRIORITY_NAMES[task.priority]} priority`;
  return h("span", { class: "priority", data: { level: task.priority }, title: name, role: "img", "aria-label": name });
}

export function labelChip(label) {
  const chip = h("span", { class: "label" }, h("span", { class: "label-name" }, label.name));
  chip.style.setProperty("--label", label.color);
  return chip;
}

function more(labels) {
  return labels.length > LABELS_SHOWN ? h("span", { class: "label-more" }, `+${labels.length - LABELS_SHOWN}`) : null;
}

function estimate(task) {
  if (task.estimate === null || task.estimate === undefined) return null;
  return h("span", { class: "estimate", title: "Estimate" }, String(task.estimate));
}

function talk(task) {
  if (!task.comment_count) return null;
  return h("span", { class: "talk", title: "Comments" }, icon(BUBBLE), String(task.comment_count));
}

function files(task) {
  if (!task.attachment_count) return null;
  return h("span", { class: "files", title: "Files" }, icon(CLIP), String(task.attachment_count));
}

function assignee(task, board) {
  if (!task.assignee_id) return null;
  const name = board.members.get(task.assignee_id)?.name ?? "Former member";
  return h("span", { class: "card-assignee" }, h("span", { class: "unseen" }, `assigned to ${name}`), avatar(name, task.assignee_id));
}

/** A round of initials, its hue a function of the id, so that a person looks the same everywhere. */
export function avatar(name, id) {
  const round = h("span", { class: "avatar", title: name, "aria-hidden": "true" }, initials(name));
  round.style.setProperty("--hue", String(hueOf(id)));
  return round;
}

export function initials(name) {
  const words = name.trim().split(/\s+/u).filter((word) => word !== "");
  const picked = words.length > 1 ? [words[0], words.at(-1)] : words;
  return picked.map((word) => Array.from(word)[0].toUpperCase()).join("") || "?";
}

function hueOf(id) {
  let hash = 0;
  for (const character of id) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return hash;
}
