/**
 * Who is signed in. The access token lives in memory only; the refresh token is kept in localStorage so that a reload and
 * other tabs stay signed in. It rotates on every use, so tabs take turns (Web Locks) and always spend the newest one.
 */

const KEPT = "taskforge.refresh";
const EARLY_MS = 30_000;

export class SessionEnded extends Error {}

export class Session extends EventTarget {
  #access = null;
  #expires = 0;
  #refreshing = null;

  constructor() {
    super();
    window.addEventListener("storage", (change) => {
      if (change.key === KEPT && change.newValue === null) this.#drop("signed-out-elsewhere");
    });
  }

  /** Whether there is something to try; the server has the last word. */
  get signedIn() {
    return localStorage.getItem(KEPT) !== null;
  }

  get refreshToken() {
    return localStorage.getItem(KEPT);
  }

  /** Take over the tokens of a sign-up, sign-in or refresh answer. */
  adopt({ access_token: access, refresh_token: refresh, expires_in: seconds }) {
    this.#access = access;
    this.#expires = Date.now() + seconds * 1000;
    localStorage.setItem(KEPT, refresh);
  }

  /** A usable access token. `refused` is one the server just answered 401 to. Throws SessionEnded. */
  async token(refused = null) {
    const fresh = this.#access !== null && this.#access !== refused && Date.now() < this.#expires - EARLY_MS;
    if (fresh) return this.#access;
    this.#refreshing ??= this.#refreshInTurn().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /** Forget everything here; other tabs follow. */
  end(reason = "signed-out") {
    localStorage.removeItem(KEPT);
    this.#drop(reason);
  }

  #drop(reason) {
    this.#access = null;
    this.dispatchEvent(new CustomEvent("ended", { detail: reason }));
  }

  #refreshInTurn() {
    if (navigator.locks === undefined) return this.#refresh();
    return navigator.locks.request("taskforge.refresh", () => this.#refresh());
  }

  async #refresh() {
    const spent = localStorage.getItem(KEPT);
    if (spent === null) throw new SessionEnded("not signed in");
    const answer = await fetch("/v1/auth/refresh", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify({ refresh_token: spent }),
    });
    if (answer.ok) {
      this.adopt(await answer.json());
      return this.#access;
    }
    // Only a clear "no" ends the session: a busy or restarting server (429, 5xx) must not sign people out.
    if (answer.status >= 500 || answer.status === 429 || answer.status === 408) throw new TypeError(`refresh: ${answer.status}`);
    this.end("expired");
    throw new SessionEnded("the session has ended");
  }
}
