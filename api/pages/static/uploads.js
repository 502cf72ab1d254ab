/** One file on its way to the server, and how far it is: fetch says nothing of that, so this is an XMLHttpRequest. */

import { Problem, Unreachable, newKey } from "./api.js";

/**
 * Send the file as a form and give the attachment. `progress` hears a number from 0 to 1. Throws Problem, Unreachable or
 * SessionEnded. It is sent once: only a token that has just run out is replaced, under the same key.
 */
export async function upload(api, path, file, { team, progress }) {
  const key = newKey();
  const token = await api.session.token();
  let request = await sent(path, file, { token, team, key, progress });
  if (request.status === 401) request = await sent(path, file, { token: await api.session.token(token), team, key, progress });
  const data = bodyOf(request);
  if (request.status >= 300) throw new Problem(request.status, data);
  api.saw(team, Number(request.getResponseHeader("taskforge-seq") ?? 0));
  return data;
}

function sent(path, file, { token, team, key, progress }) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("file", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", path);
    const headers = { accept: "application/json", authorization: `Bearer ${token}`, "taskforge-team": team, "idempotency-key": key };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => progress(total > 0 ? loaded / total : 0));
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Unreachable()));
    request.send(form);
  });
}

function bodyOf(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    return {};  // An answer of something between us and the server: its status says enough.
  }
}
