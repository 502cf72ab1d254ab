/** What the pages beside the board share: who is signed in, loading, trouble, and how times are written. */

import { Api } from "./api.js";
import { avatar } from "./card.js";
import { leave } from "./detour.js";
import { announce, byId, h, toast } from "./dom.js";
import { Session, SessionEnded } from "./session.js";

const SCREENS = ["loading", "trouble", "page"];
const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const WHEN_EXACTLY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** `load(api, me)` fills the page; it runs once, when somebody is signed in. */
export class Shell {
  #leaving = false;

  constructor(load) {
    this.session = new Session();
    this.api = new Api(this.session);
    this.load = load;
    this.session.addEventListener("ended", (event) => {
      if (this.#leaving) return;
      const expired = event.detail === "expired";
      leave({ comeBack: expired, note: expired ? "Your session has ended. Please sign in again." : "" });
    });
    byId("retry").addEventListener("click", () => location.reload());
    byId("sign-out").addEventListener("click", () => this.#signOut());
  }

  async open() {
    if (!this.session.signedIn) {
      leave({ comeBack: true });
      return;
    }
    show("loading");
    try {
      const { data: me } = await this.api.get("/v1/me");
      showMe(me);
      await this.load(this.api, me);
      show("page");
      if (location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
    } catch (error) {
      if (error instanceof SessionEnded) return;
      byId("trouble-text").textContent = error.message;
      show("trouble");
    }
  }

  /** Forget the tokens here, and go to the sign-in form with a note. */
  end(note) {
    this.#leaving = true;
    this.session.end();
    leave({ note });
  }

  async #signOut() {
    try {
      await this.api.post("/v1/auth/logout", undefined, { keyed: false });
    } catch (error) {
      // The refresh token is forgotten here either way; the server forgets it when it expires.
      if (!(error instanceof SessionEnded)) toast(error.message, "error");
    }
    this.end("");
  }
}

export function showMe(me) {
  const name = h("span", { class: "me-name" }, me.name);
  for (const who of document.querySelectorAll(".who")) who.textContent = me.email ?? me.name;
  byId("me").replaceChildren(avatar(me.name, me.id), h("span", { class: "unseen" }, "Your account: "), name);
}

/** Run what a button is for, once at a time; what goes wrong is said at the foot of the page. */
export function doing(button, work) {
  button.addEventListener("click", async () => {
    if (button.disabled) return;
    button.disabled = true;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof SessionEnded)) toast(error.message, "error");
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

/** After a row is gone with the button that had the focus: say so, and go on from the heading of its list. */
export function gone(headingId, words) {
  byId(headingId).focus();
  announce(words);
}

/** A moment by this browser's clock. */
export function moment(iso) {
  return h("time", { datetime: iso }, WHEN.format(new Date(iso)));
}

/** The same to the second, for what is compared with somebody's log; the zone of the clock is its title. */
export function momentOfLog(iso) {
  return h("time", { datetime: iso, title: WHEN_EXACTLY.resolvedOptions().timeZone }, WHEN_EXACTLY.format(new Date(iso)));
}

/** A moment by the clock of a zone, which mails say it by, too; by this browser's where it does not know the zone. */
export function momentIn(iso, zone) {
  try {
    const there = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", timeZone: zone });
    return h("time", { datetime: iso, title: zone }, there.format(new Date(iso)));
  } catch {
    return moment(iso);
  }
}

export function day(iso) {
  return h("time", { datetime: iso }, DAY.format(new Date(iso)));
}

/** An option of a select; `chosen` is the value that is selected. */
export function option(value, text, chosen) {
  return h("option", { value, selected: value === chosen }, text);
}

/** Every time zone that this browser knows, and the one that is set, even if it does not. */
export function zones(chosen) {
  const known = typeof Intl.supportedValuesOf === "function" ? Intl.supportedValuesOf("timeZone") : [];
  const names = [...new Set(["UTC", ...known, chosen])].toSorted();
  return names.map((name) => option(name, name.replaceAll("_", " "), chosen));
}

function show(screen) {
  for (const id of SCREENS) byId(id).hidden = id !== screen;
}
