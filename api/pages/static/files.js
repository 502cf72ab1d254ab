/** The files of the open task: dropped on the panel or chosen, saved, deleted. */

import { pause } from "./api.js";
import { announce, byId, h, toast } from "./dom.js";
import { confirmed } from "./dialogs.js";
import { pressing } from "./pressing.js";
import { SessionEnded } from "./session.js";
import { moment } from "./shell.js";
import { upload } from "./uploads.js";

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte"];

export class Files {
  #team = null;
  #task = null;
  #shown = new Map();
  #cursor = null;

  constructor(api) {
    this.api = api;
    this.panel = byId("panel");
    this.list = byId("files");
    this.sending = byId("files-sending");
    this.more = byId("files-more");
    this.note = byId("files-note");
    this.input = byId("file-input");
    this.input.addEventListener("change", () => this.#onChosen());
    byId("file-choose").addEventListener("click", () => this.input.click());
    pressing(this.more, this.note, () => this.#load(this.#cursor));
    for (const kind of ["dragenter", "dragover"]) this.panel.addEventListener(kind, (event) => this.#onOver(event));
    this.panel.addEventListener("dragleave", (event) => this.panel.contains(event.relatedTarget) || this.#aim(false));
    this.panel.addEventListener("drop", (event) => this.#onDrop(event));
  }

  /** Begin with another task of the team. Rejects when its files cannot be loaded. */
  async open(team, task) {
    [this.#team, this.#task] = [team, task];
    this.#shown.clear();
    this.note.textContent = "";
    this.list.replaceChildren();
    this.sending.replaceChildren();
    await this.refresh();
  }

  close() {
    this.#task = null;
    this.list.replaceChildren();
    this.sending.replaceChildren();
  }

  /** What may be done has changed. */
  redraw() {
    byId("file-choose").hidden = !this.#team.mayWrite;
    for (const tools of this.list.querySelectorAll("[data-does=delete]")) tools.hidden = !this.#team.mayWrite;
  }

  /** Everything from the first page on. */
  async refresh() {
    const before = new Set(this.#shown.keys());
    const items = await this.#load(null);
    for (const { id } of items) before.delete(id);
    if (this.#cursor === null) for (const id of before) this.#remove(id);
    this.redraw();
  }

  /** An event of the open task that is about a file. */
  async follow({ type, data }) {
    const { id } = data.attachment;
    if (type === "attachment.deleted") this.#remove(id);
    else if (!this.#shown.has(id)) await this.refresh();
  }

  #options() {
    return { team: this.#team.team.id };
  }

  async #load(cursor) {
    const task = this.#task;
    const query = new URLSearchParams({ limit: 50, ...(cursor === null ? {} : { cursor }) });
    const { data } = await this.api.get(`/v1/tasks/${task}/attachments?${query}`, this.#options());
    if (task !== this.#task) return [];
    this.#cursor = data.next_cursor;
    for (const file of data.items) this.#take(file);
    this.#tell();
    return data.items;
  }

  #tell() {
    this.more.hidden = this.#cursor === null;
    byId("files-none").hidden = this.#shown.size > 0;
  }

  #take(file) {
    if (this.#shown.has(file.id)) return;
    this.#shown.set(file.id, file);
    const item = this.#itemOf(file);
    this.list.insertBefore(item, [...this.list.children].find((other) => other.dataset.file > file.id) ?? null);
    if (PICTURES.has(file.media_type)) this.#showThumbnail(file, item.firstElementChild);
    this.#tell();
  }

  #itemOf(file) {
    const save = h("button", { type: "button", class: "file-name", title: `Save ${file.name}` }, file.name);
    const about = h("span", { class: "help" }, sizeOf(file.size), " · ", moment(file.created_at));
    const remove = h("button", { type: "button", class: "icon", "aria-label": `Delete ${file.name}`, hidden: !this.#team.mayWrite, data: { does: "delete" } }, "×");
    const picture = h("span", { class: "thumbnail", "aria-hidden": "true" }, suffixOf(file.name));
    pressing(save, this.note, () => this.#save(file));
    pressing(remove, this.note, () => this.#delete(file));
    return h("li", { class: "file", data: { file: file.id } }, picture, h("div", { class: "file-words" }, save, about), remove);
  }

  /** The signed address of a file: it needs no token, and is found by asking for the file's head with ours. */
  async #address(file, what) {
    const token = await this.api.session.token();
    const headers = { authorization: `Bearer ${token}`, "taskforge-team": this.#team.team.id };
    return fetch(`/v1/attachments/${file.id}/${what}`, { method: "HEAD", headers, cache: "no-store", credentials: "omit" });
  }

  /** A picture's thumbnail, once the worker has made it: soon, if at all. One that has none keeps its sign. */
  async #showThumbnail(file, place) {
    let answer = await this.#address(file, "thumbnail").catch(() => null);
    for (let wait = 500; answer?.status === 404 && wait <= 8000; wait *= 2) {
      await pause(wait);
      if (!place.isConnected) return;
      answer = await this.#address(file, "thumbnail").catch(() => null);
    }
    if (!answer?.ok) return;
    const image = h("img", { alt: "", src: answer.url });
    image.addEventListener("load", () => place.replaceChildren(image));
  }

  async #save(file) {
    const answer = await this.#address(file, "download");
    if (!answer.ok) throw new Error(`${file.name} cannot be had right now.`);
    h("a", { href: answer.url, download: file.name, target: "_blank", rel: "noopener" }).click();
  }

  async #delete(file) {
    const sure = await confirmed({ title: `Delete ${file.name}?`, text: "The file is gone for good.", action: "Delete" });
    if (!sure) return;
    await this.api.delete(`/v1/attachments/${file.id}`, this.#options());
    this.#remove(file.id);
    byId("files-heading").focus();
    announce(`${file.name} deleted.`);
  }

  #remove(id) {
    const item = [...this.list.children].find((one) => one.dataset.file === id);
    this.#shown.delete(id);
    const focused = item?.contains(document.activeElement);
    item?.remove();
    if (focused) byId("files-heading").focus();
    this.#tell();
  }

  #aim(aimed) {
    this.panel.classList.toggle("aimed", aimed);
  }

  /** Text that is dragged within the panel stays the browser's business. */
  #onOver(event) {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = this.#team.mayWrite ? "copy" : "none";
    this.#aim(this.#team.mayWrite);
  }

  #onDrop(event) {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    this.#aim(false);
    if (this.#team.mayWrite) this.#sendAll([...event.dataTransfer.files]);
  }

  #onChosen() {
    const files = [...this.input.files];
    this.input.value = "";
    this.#sendAll(files);
  }

  /** One after the other: each keeps its own line, so that one which is refused says why. */
  async #sendAll(files) {
    const lines = files.map((file) => ({ file, line: this.#line(file) }));
    this.sending.append(...lines.map(({ line }) => line.item));
    byId("files-heading").scrollIntoView({ block: "nearest" });
    const task = this.#task;
    for (const { file, line } of lines) await this.#send(task, file, line);
  }

  #line({ name }) {
    const bar = h("progress", { max: 1, value: 0, "aria-label": `Sending ${name}` });
    const item = h("li", { class: "sending" }, h("span", { class: "sending-name" }, name), bar);
    return { item, bar };
  }

  async #send(task, file, { item, bar }) {
    const progress = (part) => {
      bar.value = part;
    };
    try {
      const added = await upload(this.api, `/v1/tasks/${task}/attachments`, file, { ...this.#options(), progress });
      item.remove();
      if (task === this.#task) this.#take(added);
      announce(`${file.name} added.`);
    } catch (error) {
      if (error instanceof SessionEnded) return;
      if (task !== this.#task) toast(`${file.name}: ${error.message}`, "error");
      const dismiss = h("button", { type: "button", class: "icon", "aria-label": `Dismiss what was said about ${file.name}`, onclick: () => item.remove() }, "×");
      item.replaceChildren(h("span", { class: "section-note", role: "alert" }, `${file.name}: ${error.message}`), dismiss);
    }
  }
}

/** A size for people: "48 kB". */
function sizeOf(bytes) {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  const format = { style: "unit", unit: UNITS[power], unitDisplay: power === 0 ? "long" : "short", maximumFractionDigits: power > 1 ? 1 : 0 };
  return new Intl.NumberFormat(undefined, format).format(bytes / 1000 ** power);
}

function suffixOf(name) {
  const suffix = /\.([^.]{1,4})$/u.exec(name);
  return suffix === null ? "file" : suffix[1];
}
