/** Signing up and in, passwords, founding a team: plain forms that say next to the field what is wrong with it. */

import { byId, h, toast } from "./dom.js";
import { clear, handle } from "./forms.js";
import { showMe } from "./shell.js";

const FORMS = ["sign-in", "sign-up", "forgot", "reset", "verify", "invite"];
const INVITED = "taskforge.invitation";
const ENTRANCES = ["sign-in", "sign-up"];
const BY_PATH = { "/sign-in": "sign-in", "/forgot-password": "forgot", "/reset-password": "reset", "/verify-email": "verify", "/invitation": "invite" };

/** Why a sign-in by another issuer failed, by the word that the server sends us back with. */
const SIGN_IN_FAILED = {
  cancelled: "The sign-in was cancelled.",
  expired: "That took too long, or began in another browser. Please try again.",
  refused: "The sign-in was refused. Please try again.",
  unavailable: "The other service cannot be reached right now. Please try again later.",
  "email-taken": "There is an account with your email address already. Sign in with its password, and we link the two.",
};

/**
 * The form that the address asks for, and what a mail's link or a sign-in elsewhere brought along, which stays behind #
 * and is taken out at once.
 */
export function askedForm() {
  const form = BY_PATH[location.pathname];
  if (form === undefined) return null;
  const brought = new URLSearchParams(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  return { form, token: brought.get("token") ?? "", code: brought.get("code"), failed: brought.get("error"), proof: brought.get("proof") };
}

export class Gate {
  #token = "";
  #proof = null;
  #offered = false;

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

  /** The form of a mail's link or of a sign-in elsewhere, with what it brought. */
  showAsked({ form, token, code, failed, proof }) {
    this.#token = token;
    this.#proof = proof ?? null;
    if (form === "sign-in") this.#comeBack(code ?? null, failed ?? null);
    else if (form !== "invite" || this.session.signedIn) this.show(form);
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

  /** Other ways in, as links: the browser leaves the page for them. */
  async #offer() {
    if (this.#offered) return;
    this.#offered = true;
    try {
      const { data } = await this.api.get("/v1/auth/oidc", { anonymous: true });
      const links = data.items.map(({ name, label }) =>
        h("a", { class: "provider", href: `/v1/auth/oidc/${encodeURIComponent(name)}` }, `Continue with ${label}`),
      );
      byId("providers").replaceChildren(...(links.length === 0 ? [] : [h("p", { class: "or" }, "or"), ...links]));
    } catch (error) {
      toast(error.message, "error");  // The forms are there all the same.
    }
  }

  /** Back from another issuer: with a code for tokens, or with the word for what went wrong. */
  async #comeBack(code, failed) {
    if (code === null) {
      if (failed === null && this.session.signedIn) await this.#linked();
      if (failed === null) await this.#leave();
      else {
        history.replaceState(null, "", "/");
        this.show("sign-in", SIGN_IN_FAILED[failed] ?? SIGN_IN_FAILED.refused);
      }
      return;
    }
    history.replaceState(null, "", "/");
    this.show("sign-in", "Signing in…");
    try {
      const options = { anonymous: true, cookies: true, keyed: true };
      const { data } = await this.api.post("/v1/auth/oidc/tokens", { code }, options);
      this.session.adopt(data);
      await this.done();
    } catch (error) {
      this.show("sign-in", error.message);
    }
  }

  /** Link the identity that a sign-in elsewhere proved, once somebody is signed in here. */
  async #linked() {
    const proof = this.#proof;
    this.#proof = null;
    if (proof === null) return;
    try {
      await this.api.post("/v1/me/identities", { proof }, { cookies: true });
      toast("Linked: from now on you can sign in either way.");
    } catch (error) {
      toast(error.message, "error");
    }
  }

  /** As whom one would join: the link may have been opened by somebody else's account. */
  async #sayWho() {
    try {
      showMe((await this.api.get("/v1/me")).data);
    } catch (error) {
      toast(error.message, "error");  // One can join all the same.
    }
  }

  async #join() {
    const { data } = await this.api.post("/v1/invitations/accept", { token: this.#token });
    history.replaceState(null, "", `/#/${data.team_id ?? ""}`);
    await this.done();
  }

  show(which = "sign-in", note = "") {
    for (const id of FORMS) byId(id).hidden = id !== which;
    if (which === "invite") this.#sayWho();
    byId("providers").hidden = !ENTRANCES.includes(which);
    if (ENTRANCES.includes(which)) this.#offer();
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
    await this.#linked();
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
