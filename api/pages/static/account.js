/** The account page: each section is a module of its own. */

import { showDeletion } from "./account-deletion.js";
import { showExport } from "./account-export.js";
import { showIdentities } from "./account-identities.js";
import { showKeys } from "./account-keys.js";
import { showMail } from "./account-mail.js";
import { showPassword, showProfile } from "./account-profile.js";
import { showSessions } from "./account-sessions.js";
import { Shell } from "./shell.js";

const shell = new Shell(async (api, me) => {
  showProfile(api, me);
  showPassword(api, shell.session, me);
  showExport(api);
  showDeletion(api, (note) => shell.end(note));
  await Promise.all([showSessions(api), showIdentities(api), showKeys(api), showMail(api)]);
});
shell.open();
