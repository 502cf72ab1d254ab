// A working day in a minute: of ten requests six lists, two single tasks, one board with its ETag, one change.
import http from "k6/http";
import { check } from "k6";
import { Trend } from "k6/metrics";

const headers = JSON.parse(__ENV.HEADERS);
const tasks = JSON.parse(__ENV.TASKS);
const base = __ENV.BASE;
const reads = new Trend("mixed_reads", true);
const writes = new Trend("mixed_writes", true);
const queries = ["", "&status=open", "&sort=rank", "&priority=high", "&sort=-updated_at", "&sort=due_at"];
let tag = "";

export const options = {
  scenarios: {
    mixed: { executor: "constant-arrival-rate", duration: `${__ENV.SECONDS}s`, rate: 800, timeUnit: "1s", preAllocatedVUs: 300, maxVUs: 300 },
  },
  thresholds: { mixed_reads: ["p(95)<25"], mixed_writes: ["p(95)<50"], checks: ["rate==1"], dropped_iterations: ["count==0"] },
  summaryTrendStats: ["med", "p(95)", "p(99)", "max"],
};

http.setResponseCallback(http.expectedStatuses(200, 201, 304));

export default function () {
  const turn = (__ITER + __VU) % 10;
  const task = tasks[(__ITER * 13 + __VU) % tasks.length];
  if (turn === 9) {
    const all = { ...headers, "Content-Type": "application/merge-patch+json" };
    const change = JSON.stringify({ title: `Change ${__ITER} by ${__VU} at ${Date.now()}`, priority: ["high", "low"][__ITER % 2] });
    const answer = http.patch(`${base}/v1/tasks/${task}`, change, { headers: all });
    writes.add(answer.timings.duration);
    check(answer, { written: (given) => given.status === 200 });
    return;
  }
  const answer = turn < 6 ? http.get(`${base}/v1/tasks?team_id=${__ENV.TEAM}&limit=50${queries[turn]}`, { headers }) : turn < 8 ? http.get(`${base}/v1/tasks/${task}`, { headers }) : board();
  reads.add(answer.timings.duration);
  check(answer, { read: (given) => given.status === 200 || given.status === 304 });
}

function board() {
  const answer = http.get(`${base}/v1/teams/${__ENV.TEAM}/board`, { headers: tag === "" ? headers : { ...headers, "If-None-Match": tag } });
  tag = answer.headers.Etag ?? tag;
  return answer;
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data) };
}
