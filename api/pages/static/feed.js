/**
 * The team's live feed, for ever: connect with a single-use ticket, resume after the last folded `seq`, and after a cut
 * come back with growing, jittered pauses. A hole, a reset or another epoch loads the board anew.
 */

import { SessionEnded } from "./session.js";
import { Problem, pause } from "./api.js";
import { PER_COLUMN } from "./board.js";

const SILENCE_MS = 40_000;
const LONGEST_PAUSE_MS = 8_000;
const REMOVED = 4403;

export class Feed {
  #socket = null;
  #stopped = false;
  #failures = 0;
  #loading = null;
  #waiting = [];
  #silence = 0;
  #wake = null;

  /** `hooks`: state(text), removed(), reloaded(), and maybe notice(operation): how far long work of this person is. */
  constructor(api, teamId, board, hooks) {
    this.api = api;
    this.teamId = teamId;
    this.board = board;
    this.hooks = hooks;
    this.hurry = () => this.#wake?.();
  }

  start() {
    window.addEventListener("online", this.hurry);
    this.#run();
  }

  stop() {
    this.#stopped = true;
    window.removeEventListener("online", this.hurry);
    clearTimeout(this.#silence);
    this.#wake?.();
    this.#socket?.close(1000);
  }

  async #run() {
    while (!this.#stopped) {
      const code = await this.#connectOnce();
      if (this.#stopped) return;
      if (code === REMOVED) {
        this.hooks.removed();
        return;
      }
      this.hooks.state("reconnecting");
      await this.#rest();
    }
  }

  /** One connection from ticket to close; gives the close code (0: it never opened). */
  async #connectOnce() {
    try {
      const { data } = await this.api.post("/v1/live-tickets", { team_id: this.teamId }, { team: this.teamId, keyed: false });
      return await this.#listen(data.ticket);
    } catch (error) {
      if (error instanceof SessionEnded) this.#stopped = true;
      if (error instanceof Problem && (error.status === 403 || error.status === 404)) return REMOVED;
      return 0;
    }
  }

  #listen(ticket) {
    return new Promise((resolve) => {
      const scheme = location.protocol === "https:" ? "wss:" : "ws:";
      const query = new URLSearchParams({ after: `${this.board.epoch}:${this.board.seq}`, ticket });
      const socket = new WebSocket(`${scheme}//${location.host}/v1/teams/${this.teamId}/live?${query}`);
      this.#socket = socket;
      this.#watchSilence(socket);
      socket.addEventListener("message", (message) => {
        this.#watchSilence(socket);
        this.#onFrame(JSON.parse(message.data));
      });
      socket.addEventListener("close", (closed) => {
        clearTimeout(this.#silence);
        resolve(closed.code === 1006 ? 0 : closed.code);
      });
    });
  }

  /** A dead network says nothing: no frame for longer than a heartbeat and its grace means gone. */
  #watchSilence(socket) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => socket.close(4000), SILENCE_MS);
  }

  #onFrame(frame) {
    switch (frame.type) {
      case "hello":
        this.#failures = 0;
        this.hooks.state("live");
        if (frame.epoch !== this.board.epoch) this.#forget(frame.seq);
        break;
      case "event":
        this.#onEvent(frame.event);
        break;
      case "heartbeat":
        this.api.saw(this.teamId, frame.seq);
        if (frame.seq > this.board.seq) this.resync();
        break;
      case "notice":
        this.hooks.notice?.(frame.operation);
        break;
      case "reset":
        this.#forget(frame.seq);
        break;
      default:
        break;
    }
  }

  #onEvent(event) {
    if (this.#loading !== null) {
      this.#waiting.push(event);
      return;
    }
    this.api.saw(this.teamId, event.seq);
    const folded = this.board.apply(event);
    if (folded === "hole") this.#waiting.push(event);
    if (folded === "hole" || folded === "unsure") this.resync();
  }

  #forget(seq) {
    this.api.forgetSeen(this.teamId, seq);
    this.resync();
  }

  /** Load the board anew and fold what arrived meanwhile; runs once however often it is asked for. */
  resync() {
    this.#loading ??= this.#reload().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #reload() {
    for (let attempt = 0; !this.#stopped; attempt += 1) {
      try {
        const { data } = await this.api.get(`/v1/teams/${this.teamId}/board?per_column=${PER_COLUMN}`, { team: this.teamId });
        this.board.replace(data);
        if (this.#foldWaiting()) {
          this.hooks.reloaded();
          return;
        }
      } catch (error) {
        // Without a board there is nothing to show instead: the feed's own loop reports and retries.
        if (error instanceof SessionEnded || error instanceof Problem) return;
      }
      await pause(jittered(attempt));
    }
  }

  /** Whether everything that arrived during the load now stands on the board without a hole. */
  #foldWaiting() {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const [index, event] of waiting.entries()) {
      const folded = this.board.apply(event);
      if (folded !== "hole" && folded !== "unsure") continue;
      this.#waiting = waiting.slice(index + Number(folded === "unsure"));
      this.api.saw(this.teamId, event.seq);
      return false;
    }
    this.api.saw(this.teamId, this.board.seq);
    return true;
  }

  #rest() {
    const ms = jittered(this.#failures);
    this.#failures += 1;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** 100 ms to 8 s, half of it chance, so that a restarted server is not met by everybody at once. */
function jittered(failures) {
  const full = Math.min(LONGEST_PAUSE_MS, 200 * 2 ** failures);
  return full / 2 + (Math.random() * full) / 2;
}
