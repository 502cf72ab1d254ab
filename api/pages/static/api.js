/**
 * One door to the server: authorisation, problem+json, retries that cannot do anything twice, and read-your-writes.
 *
 * Every mutation carries an Idempotency-Key that stays the same over its retries, every team request the team's id
 * (routing affinity) and the highest `seq` seen of it, so that no worker may answer from an older state.
 */

import { SessionEnded } from "./session.js";

const TRIES = 7;
/** Seconds that a request waits by itself when the server says how long. */
const LONGEST_WAIT = 10;

/** An answer that is not a success (RFC 9457). `fields` maps a body field to what is wrong with it, `wait` is Retry-After in s. */
export class Problem extends Error {
  constructor(status, body, wait = 0) {
    super(body.code === "rate-limited" && wait > 0 ? tooMany(wait) : body.detail || body.title || `The server answered ${status}.`);
    this.status = status;
    this.code = body.code ?? "";
    this.body = body;
    this.fields = new Map((body.errors ?? []).map((error) => [(error.pointer ?? "").split("/")[1] ?? "", error.detail]));
  }
}

/** The server could not be reached, or stayed unable to answer. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached right now. Nothing was lost; please try again.");
  }
}

/** 122 random bits; crypto.randomUUID exists only in secure contexts. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Api {
  #seen = new Map();

  constructor(session) {
    this.session = session;
  }

  /** The highest `seq` of the team that any answer or event has shown. */
  seen(teamId) {
    return this.#seen.get(teamId) ?? 0;
  }

  saw(teamId, seq) {
    if (seq > this.seen(teamId)) this.#seen.set(teamId, seq);
  }

  /** History was rewritten (a restore): what was seen before no longer counts. */
  forgetSeen(teamId, seq) {
    this.#seen.set(teamId, seq);
  }

  get(path, options = {}) {
    return this.send("GET", path, options);
  }

  post(path, body, options = {}) {
    return this.send("POST", path, { ...options, body });
  }

  patch(path, body, options = {}) {
    return this.send("PATCH", path, { ...options, body });
  }

  delete(path, options = {}) {
    return this.send("DELETE", path, options);
  }

  /** All items of a paged list; `options.query` narrows it. */
  async list(path, options = {}) {
    const items = [];
    let cursor = null;
    do {
      const query = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const { data } = await this.get(`${path}?limit=100${query}${options.query ? `&${options.query}` : ""}`, options);
      items.push(...data.items);
      cursor = data.next_cursor ?? null;
    } while (cursor !== null);
    return items;
  }

  /**
   * Send, retrying what may be retried, and give `{data, seq, epoch, location}`. Throws Problem, Unreachable or SessionEnded.
   * `options`: body, team, ifMatch, anonymous, cookies, keyed (default: every mutation), tries.
   */
  async send(method, path, options) {
    const keyed = options.keyed ?? (method !== "GET" && !options.anonymous);
    const request = { method, path, options, key: keyed ? newKey() : null };
    const mayRepeat = method === "GET" || keyed;
    const tries = mayRepeat ? (options.tries ?? TRIES) : 1;
    for (let attempt = 1; ; attempt += 1) {
      const { answer, wait } = await this.#attempt(request, attempt);
      if (wait === null) return this.#read(answer, options.team);
      if (attempt >= tries) throw answer === null ? new Unreachable() : await problemOf(answer);
      await pause(wait);
    }
  }

  /** One try: the answer, and in how many ms to try again (null: it is final). */
  async #attempt(request, attempt) {
    const backoff = Math.random() * Math.min(4000, 250 * 2 ** attempt) + 50;
    let answer;
    try {
      answer = await this.#fetch(request);
    } catch (error) {
      if (error instanceof SessionEnded) throw error;
      return { answer: null, wait: backoff };
    }
    const inFlight = answer.status === 409 && answer.headers.has("retry-after");
    if (answer.status === 503 || answer.status === 429 || inFlight) {
      const seconds = Number(answer.headers.get("retry-after"));
      // Whoever has asked too often for long is told so; asking on would only be counted.
      if (answer.status === 429 && seconds > LONGEST_WAIT) return { answer, wait: null };
      return { answer, wait: seconds > 0 && seconds <= LONGEST_WAIT ? seconds * 1000 * (0.9 + Math.random() * 0.4) : backoff };
    }
    return { answer, wait: null };
  }

  async #fetch(request) {
    if (request.options.anonymous) return this.#fetchOnce(request, null);
    const token = await this.session.token();
    const answer = await this.#fetchOnce(request, token);
    if (answer.status !== 401) return answer;
    const again = await this.#fetchOnce(request, await this.session.token(token));
    if (again.status === 401) {
      this.session.end("expired");
      throw new SessionEnded("refused");
    }
    return again;
  }

  #fetchOnce({ method, path, options, key }, token) {
    const headers = new Headers({ accept: "application/json" });
    if (token !== null) headers.set("authorization", `Bearer ${token}`);
    if (key !== null) headers.set("idempotency-key", key);
    if (options.team) {
      headers.set("taskforge-team", options.team);
      if (this.seen(options.team) > 0) headers.set("taskforge-min-seq", String(this.seen(options.team)));
    }
    if (options.ifMatch !== undefined) headers.set("if-match", `"${options.ifMatch}"`);
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    if (body !== undefined) headers.set("content-type", method === "PATCH" ? "application/merge-patch+json" : "application/json");
    return fetch(path, { method, headers, body, cache: "no-store", credentials: options.cookies ? "same-origin" : "omit" });
  }

  async #read(answer, team) {
    if (!answer.ok) throw await problemOf(answer);
    const seq = Number(answer.headers.get("taskforge-seq") ?? 0);
    if (team && seq > 0) this.saw(team, seq);
    const text = await answer.text();
    const epoch = Number(answer.headers.get("taskforge-epoch") ?? 1);
    return { data: text === "" ? null : JSON.parse(text), seq, epoch, location: answer.headers.get("location") };
  }
}

/** For people: in how long to try again, rounded up, so that it is never too early. */
function tooMany(seconds) {
  const [count, unit] = [[3600, "hour"], [60, "minute"], [1, "second"]]
    .filter(([size]) => seconds >= size)
    .map(([size, name]) => [Math.ceil(seconds / size), name])[0];
  return `Too many attempts. Try again in ${count} ${unit}${count === 1 ? "" : "s"}.`;
}

async function problemOf(answer) {
  const wait = Math.ceil(Number(answer.headers.get("retry-after"))) || 0;
  try {
    return new Problem(answer.status, await answer.json(), wait);
  } catch {
    return new Problem(answer.status, {}, wait);
  }
}
