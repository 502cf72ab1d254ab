/** Everything about the account as a file: asked for, followed while it is made, and offered. */

import { pause } from "./api.js";
import { byId, h } from "./dom.js";
import { doing, moment } from "./shell.js";

const POLL_MS = 1000;
const RUNNING = new Set(["waiting", "running", "compensating"]);

export function showExport(api) {
  const place = byId("export-result");
  const bar = h("progress", { max: 1, "aria-label": "Progress of the export" });

  doing(byId("export"), async () => {
    place.replaceChildren("Your data is being gathered… ", bar);
    try {
      const { location } = await api.post("/v1/me/export");
      place.replaceChildren(...ended(api, location, await followed(api, location, bar)));
    } catch (error) {
      place.replaceChildren(absent(error) ? "This server makes no exports." : "");
      if (!absent(error)) throw error;
    }
  });
}

/** The operation once it has ended. */
async function followed(api, location, bar) {
  for (;;) {
    const { data } = await api.get(location);
    if (!RUNNING.has(data.status)) return data;
    bar.value = data.progress ?? 0;
    await pause(POLL_MS);
  }
}

/** The address of the file is good for minutes, so it is asked for when somebody wants it. */
function ended(api, location, { status, result }) {
  if (status !== "succeeded") return ["The export did not come about. Please try again later."];
  const download = h("button", { type: "button", class: "primary" }, "Download");
  doing(download, async () => {
    const { data } = await api.get(location);
    window.location.assign(data.result.download_url);
  });
  return [download, h("span", null, "It is here until ", moment(result.expires_at), ".")];
}

/** Whether the server knows nothing of exports. */
function absent(error) {
  return error.status === 404 || error.status === 405;
}
