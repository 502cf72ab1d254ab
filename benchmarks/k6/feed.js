// Followers of one team's feed by WebSocket while one writer changes tasks: how old an event is when a follower has it.
import http from "k6/http";
import ws from "k6/ws";
import { check } from "k6";
import { Counter, Trend } from "k6/metrics";

const headers = JSON.parse(__ENV.HEADERS);
const tasks = JSON.parse(__ENV.TASKS);
const seconds = Number(__ENV.SECONDS);
const followers = Number(__ENV.FOLLOWERS);
const age = new Trend("feed_age", true);
const events = new Counter("feed_events");
const holes = new Counter("feed_holes");
const SETTLE = 3;

export const options = {
  scenarios: {
    followers: { executor: "per-vu-iterations", exec: "follow", vus: followers, iterations: 1, maxDuration: `${seconds + 30}s` },
    writer: { executor: "constant-arrival-rate", exec: "write", startTime: `${SETTLE}s`, duration: `${seconds}s`, rate: 10, timeUnit: "1s", preAllocatedVUs: 2 },
  },
  thresholds: { feed_age: ["p(95)<250"], feed_holes: ["count==0"], checks: ["rate==1"] },
  summaryTrendStats: ["med", "p(95)", "p(99)", "max"],
};

export function follow() {
  const address = `${__ENV.BASE.replace("http", "ws")}/v1/teams/${__ENV.TEAM}/live`;
  let last = 0;
  const answer = ws.connect(address, { headers }, (socket) => {
    socket.on("message", (text) => {
      const frame = JSON.parse(text);
      if (frame.type === "hello") last = frame.seq;
      if (frame.type !== "event") return;
      // Clocks are the same: server and followers are one machine.
      age.add(Date.now() - Date.parse(frame.event.time));
      events.add(1);
      if (frame.seq !== last + 1) holes.add(1);
      last = frame.seq;
    });
    socket.setTimeout(() => socket.close(), (seconds + SETTLE + 2) * 1000);
  });
  check(answer, { connected: (given) => given && given.status === 101 });
}

export function write() {
  const task = tasks[__ITER % tasks.length];
  const all = { ...headers, "Content-Type": "application/merge-patch+json" };
  const answer = http.patch(`${__ENV.BASE}/v1/tasks/${task}`, JSON.stringify({ title: `Change ${__ITER} at ${Date.now()}` }), { headers: all });
  check(answer, { written: (given) => given.status === 200 });
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data) };
}
