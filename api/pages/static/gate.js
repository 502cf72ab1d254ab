/** Signing up and in, passwords, founding a team: plain forms that say next to the field what is wrong with it. */

import { byId } from "./dom.js";
import { clear, handle } from "./forms.js";

const FORMS = ["sign-in", "sign-up", "forgot", "reset", "verify", "invite"];
const INVITED = "taskforge.invitation";
const BY_PATH = { "/forgot-password": "forgot", "/reset-password": "reset", "/verify-email": "verify", "/invitation": "invite" };

/** The form that the address asks for, and the token of a mail's link, which stays behind # and is taken out at once. */
export function askedForm() {
  const form = BY_PATH[location.pathname];
  if (form === undefined) return null;
  const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  history.replaceState(null, "", location.pathname);
  return { form, token };
}

export class Gate {
  #token = "";

  /** `done()` runs once tokens are there. */
  constructor(api, session, done) {
    this.api = api;
    this.session = session;
    this.done = done;
    handle(byId("sign-in"), (values) => this.#enter("/v1/auth/login", values));
    handle(byId("sign-up"), (values) => this.#enter("/v1/auth/signup", { ...values, ...zone() }));
    handle(byId("forgot"), (values) => this.#send("password-reset", values, "If there is such an account, a mail is on its way."));
    handle(byId("reset"), (values) =>
      this.#send("password-reset/confirm", { ...values, token: this.#token }, "Your password is saved. Sign in with it."),
    );
    handle(byId("invite"), () => this.#join());
    handle(byId("verify"), () => this.#send("verify-email", { token: this.#token }, "Your address is confirmed."));
    byId("to-sign-up").addEventListener("click", () => this.show("sign-up"));
    byId("to-forgot").addEventListener("click", () => this.show("forgot"));
    byId("to-sign-in").addEventListener("click", () => this.show("sign-in"));
    for (const id of ["forgot-back", "reset-back", "verify-back", "invite-back"]) byId(id).addEventListener("click", () => this.#leave());
  }

  /** The form of a mail's link, with the token that it brought. */
  showAsked({ form, token }) {
    this.#token = token;
    if (form !== "invite" || this.session.signedIn) this.show(form);
    else {
      sessionStorage.setItem(INVITED, token);  // For the time it takes to sign in.
      this.show("sign-in", "Sign in, or create an account, to join the team.");
    }
  }

  /** The invitation that waited until somebody signed in, if there is one. */
  takeInvitation() {
    const token = sessionStorage.getItem(INVITED);
    sessionStorage.removeItem(INVITED);
    return token === null ? null : { form: "invite", token };
  }

  async #join() {
    const { data } = await this.api.post("/v1/invitations/accept", { token: this.#token });
    history.replaceState(null, "", `/#/${data.team_id ?? ""}`);
    await this.done();
  }

  show(which = "sign-in", note = "") {
    for (const id of FORMS) byId(id).hidden = id !== which;
    byId("gate-note").textContent = note;
    for (const id of FORMS) clear(byId(id));
    byId(which).querySelector("input, button").focus();
  }

  async #send(path, values, note) {
    await this.api.post(`/v1/auth/${path}`, values, { anonymous: true });
    for (const id of ["forgot", "reset"]) byId(id).reset();
    await this.#leave(note);
  }

  /** Away from the address of a link: to the board for who is signed in, else to the first form. */
  async #leave(note = "") {
    history.replaceState(null, "", "/");
    if (this.session.signedIn) await this.done();
    else this.show("sign-in", note);
  }

  async #enter(path, values) {
    const { data } = await this.api.post(path, values, { anonymous: true });
    this.session.adopt(data);
    for (const id of FORMS) byId(id).reset();
    await this.done();
  }
}

export class Founding {
  /** `done(team)` runs with the new team. */
  constructor(api, done) {
    this.form = byId("found");
    const { name, key } = fields(this.form, ["name", "key"]);
    name.addEventListener("input", () => {
      if (!key.dataset.own) key.value = suggestKey(name.value);
    });
    key.addEventListener("input", () => {
      key.dataset.own = key.value === "" ? "" : "yes";
      key.value = key.value.toUpperCase();
    });
    handle(this.form, async (values) => {
      const { data } = await api.post("/v1/teams", values);
      this.form.reset();
      key.dataset.own = "";
      await done(data);
    });
  }

  show(first) {
    byId("found-welcome").hidden = !first;
    byId("found-cancel").hidden = first;
    clear(this.form);
    this.form.querySelector("input").focus();
  }
}

/** "Platform Engineering" → "PE", "Forge" → "FORGE": 2 to 10 of A-Z and 0-9, a letter first. */
export function suggestKey(name) {
  const plain = name.normalize("NFD").toUpperCase().replaceAll(/[^A-Z0-9 ]/gu, "");
  const words = plain.split(" ").filter((word) => word !== "");
  const short = words.length > 1 ? words.map((word) => word[0]).join("") : (words[0] ?? "").slice(0, 5);
  return short.replace(/^[0-9]+/u, "").slice(0, 10);
}

/** The browser's time zone, if it knows it. */
function zone() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return name ? { time_zone: name } : {};
}

function fields(form, names) {
  return Object.fromEntries(names.map((name) => [name, form.elements.namedItem(name)]));
}
