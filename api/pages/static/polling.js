/** Asking again and again for what no feed tells: soon while something is going on, seldom otherwise, never unseen. */

const BUSY_MS = 1_500;
const IDLE_MS = 15_000;

export class Polling {
  #timer = 0;
  #stopped = false;
  #running = false;
  #again = false;

  /** `work()` resolves to whether something is going on that is worth asking for soon; it says itself what goes wrong. */
  constructor(work) {
    this.work = work;
    this.look = () => this.soon();
    document.addEventListener("visibilitychange", this.look);
    this.#plan(IDLE_MS);
  }

  /** Something has happened that may show in a moment. */
  soon() {
    if (this.#running) this.#again = true;
    else this.#plan(BUSY_MS / 3);
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.look);
  }

  #plan(ms) {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => this.#run(), ms);
  }

  async #run() {
    if (document.hidden) return;  // It goes on once somebody looks again.
    this.#running = true;
    this.#again = false;
    const busy = await this.work();
    this.#running = false;
    this.#plan(busy || this.#again ? BUSY_MS : IDLE_MS);
  }
}
