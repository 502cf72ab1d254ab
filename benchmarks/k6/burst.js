// k6's side of benchmarks/load.py: as many requests as CLIENTS connections get answered.
import http from "k6/http";
import { check } from "k6";

const headers = JSON.parse(__ENV.HEADERS);
const expected = Number(__ENV.EXPECTED);
const targets = open(__ENV.TARGETS).split("\n").filter((line) => line !== "").map((line) => line.split(" "));
let sent = 0;
let complained = false;

http.setResponseCallback(http.expectedStatuses(expected));

export const options = {
  vus: Number(__ENV.CLIENTS),
  duration: `${__ENV.SECONDS}s`,
  summaryTrendStats: ["med", "p(95)", "p(99)"],
};

export default function () {
  let answer;
  if (targets.length === 0) {
    answer = http.get(__ENV.URL, { headers });
  } else {
    sent += 1;
    const [team, task] = targets[(sent * 31 + __VU) % targets.length];
    const all = { ...headers, "TaskForge-Team": team, "Content-Type": "application/merge-patch+json" };
    answer = http.patch(`${__ENV.BASE}/v1/tasks/${task}`, JSON.stringify({ title: `Change ${sent} by ${__VU} at ${Date.now()}` }), { headers: all });
  }
  if (!check(answer, { "expected status": (given) => given.status === expected }) && !complained) {
    complained = true;
    console.error(`unexpected: ${answer.status} ${answer.error || String(answer.body).slice(0, 300)}`);
  }
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data) };
}
