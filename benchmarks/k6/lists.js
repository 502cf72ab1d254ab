// Lists at a steady rate while nothing changes (cached), then with a change before every list (uncached).
import http from "k6/http";
import { check } from "k6";
import { Trend } from "k6/metrics";

const headers = JSON.parse(__ENV.HEADERS);
const tasks = JSON.parse(__ENV.TASKS);
const list = `${__ENV.BASE}/v1/tasks?team_id=${__ENV.TEAM}&limit=50`;
const cached = new Trend("list_cached", true);
const uncached = new Trend("list_uncached", true);
const seconds = Number(__ENV.SECONDS);

const steady = (exec, startTime) => ({
  executor: "constant-arrival-rate", exec, startTime, duration: `${seconds}s`, rate: 300, timeUnit: "1s", preAllocatedVUs: 200, maxVUs: 200,
});

export const options = {
  scenarios: { cached: steady("cachedList", "0s"), uncached: steady("uncachedList", `${seconds}s`) },
  thresholds: { list_cached: ["p(95)<10"], list_uncached: ["p(95)<25"], checks: ["rate==1"], dropped_iterations: ["count==0"] },
  summaryTrendStats: ["med", "p(95)", "p(99)", "max"],
};

export function cachedList() {
  const answer = http.get(list, { headers });
  cached.add(answer.timings.duration);
  check(answer, { "200": (given) => given.status === 200 });
}

export function uncachedList() {
  const task = tasks[(__ITER * 17 + __VU) % tasks.length];
  const title = `Change ${__ITER} by ${__VU} at ${Date.now()}`;
  const all = { ...headers, "Content-Type": "application/merge-patch+json" };
  const changed = http.patch(`${__ENV.BASE}/v1/tasks/${task}`, JSON.stringify({ title }), { headers: all });
  const answer = http.get(list, { headers: { ...headers, "TaskForge-Min-Seq": changed.headers["Taskforge-Seq"] } });
  uncached.add(answer.timings.duration);
  check(answer, { "200": (given) => given.status === 200 && changed.status === 200 });
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data) };
}
