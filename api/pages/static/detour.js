/** From a page that needs somebody to be signed in, to the sign-in form and back; it may bring a note along. */

const WANTED = "taskforge.wanted";
const NOTE = "taskforge.note";

/** Go to the sign-in form. With `comeBack` this page opens again afterwards; `note` stands above the form. */
export function leave({ comeBack = false, note = "" } = {}) {
  if (comeBack) sessionStorage.setItem(WANTED, location.pathname + location.hash);
  if (note !== "") sessionStorage.setItem(NOTE, note);
  location.replace("/");
}

/** The page that was wanted before signing in, once; null when there is none. */
export function wanted() {
  return taken(WANTED);
}

/** The note that was brought along, once. */
export function note() {
  return taken(NOTE) ?? "";
}

function taken(key) {
  const value = sessionStorage.getItem(key);
  sessionStorage.removeItem(key);
  return value;
}
