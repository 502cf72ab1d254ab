/** Webhooks in words: how one is, what it is sent, and what came of an attempt. */

import { h } from "./dom.js";
import { moment } from "./shell.js";

const FORMATS = { cloudevents: "CloudEvents", slack: "Slack-compatible" };
const DISABLED = {
  gone: ["Disabled", "Its endpoint has answered 410 Gone, so that it is sent nothing any more. Disabled since "],
  failing: ["Disabled", "Every attempt has failed for five days, so that it is sent nothing any more. Disabled since "],
  by_hand: ["Switched off", "Somebody of your team has switched it off. It is sent nothing since "],
};
const STATUSES = { pending: ["Waiting", ""], delivered: ["Delivered", "good"], failed: ["Failed", "bad"], expired: ["Too old", ""] };
const ERRORS = {
  "not-allowed": "Nothing is sent to this address, or its name does not exist.",
  connect: "No connection could be made.",
  tls: "The encrypted connection or its certificate was not good.",
  timeout: "No answer came within 15 seconds.",
  "broken-answer": "What came was no whole HTTP answer.",
  interrupted: "Our process ended before an answer came; the attempt is made again.",
  "secret-lost": "The secret cannot be read any more: rotate it, then redeliver.",
  "history-rewritten": "A restore has taken this event back, so that it is not sent.",
  internal: "Something went wrong on our side.",
  disabled: "It was given up because the webhook was disabled.",
};

/** How a webhook is: a word, its kind ("good", "warm", "bad" or ""), and why, as nodes. */
export function stateOf(hook) {
  if (!hook.enabled) {
    const [name, why] = DISABLED[hook.disabled_reason] ?? ["Disabled", "It is sent nothing since "];
    return { name, kind: hook.disabled_reason === "by_hand" ? "" : "bad", why: [why, moment(hook.disabled_at), "."] };
  }
  if (hook.failing_since !== null) return { name: "Failing", kind: "warm", why: ["Every attempt has failed since ", moment(hook.failing_since), ". After five days of that it is disabled."] };
  if (hook.paused_until !== null && new Date(hook.paused_until) > new Date()) {
    return { name: "Slowed down", kind: "warm", why: ["Its endpoint has more than it can take, and is asked again at ", moment(hook.paused_until), "."] };
  }
  return { name: "Active", kind: "good", why: [] };
}

export function badge({ name, kind }) {
  return h("span", { class: kind === "" ? "badge" : `badge badge-${kind}` }, name);
}

/** What it is called: what somebody wrote about it, or where it goes. */
export function nameOf(hook) {
  return hook.description === "" ? hostOf(hook.url) : hook.description;
}

function hostOf(url) {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}

/** What a webhook is sent, in a line. */
export function wishOf(hook) {
  const types = hook.event_types.length;
  const parts = [types === 0 ? "every event" : `${types} type${types === 1 ? "" : "s"} of events`];
  if (hook.filter.status.length + hook.filter.label.length + hook.filter.assignee.length > 0) parts.push("of some tasks only");
  parts.push(FORMATS[hook.format] ?? hook.format);
  if (hook.in_order) parts.push("in order");
  return parts.join(" · ");
}

/** A delivery's status as a word and a kind. */
export function statusOf(delivery) {
  if (delivery.blocked_by !== null) return { name: "Behind another", kind: "" };
  if (delivery.status === "pending" && delivery.attempt_count > 0) return { name: "Retrying", kind: "warm" };
  const [name, kind] = STATUSES[delivery.status] ?? [delivery.status, ""];
  return { name, kind };
}

/** What came of an attempt, short: the answer's status, or the error's name; "" while none has ended. */
export function outcomeOf(status, error) {
  return [status, error].filter((part) => part !== null).join(" · ");
}

/** The error of an attempt as a sentence; "" where there was an answer. */
export function errorWords(error) {
  return error === null ? "" : (ERRORS[error] ?? error);
}

/** A duration for people: "87 ms", "1.3 s", "15 s". */
export function spent(ms) {
  if (ms < 1000) return `${ms} ms`;
  return `${ms < 10_000 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)} s`;
}
