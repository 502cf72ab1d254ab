/** What stands in the panel below a task's own fields: files, comments, activity. */

import { Activity } from "./activity.js";
import { Comments } from "./comments.js";
import { byId } from "./dom.js";
import { Files } from "./files.js";
import { SessionEnded } from "./session.js";

export class Sections {
  #task = null;
  #team = null;

  /** `me()` is the person who looks. */
  constructor(api, me) {
    this.comments = new Comments(api, me);
    this.files = new Files(api);
    this.activity = new Activity(api, me);
    this.all = [this.comments, this.files, this.activity];
    this.note = byId("sections-note");
  }

  /** What is written and not sent, in words; empty when there is nothing. */
  get unsent() {
    return this.comments.unsent;
  }

  open(team, task) {
    [this.#team, this.#task] = [team, task];
    this.note.textContent = "";
    return this.#guarded(this.all.map((section) => section.open(team, task)));
  }

  close() {
    this.#task = null;
    for (const section of this.all) section.close();
  }

  /** An event of the team: one of the open task reaches whom it concerns. */
  follow(event) {
    if (this.#task === null || (event.data.task_id ?? event.data.task?.id) !== this.#task) return;
    const work = [this.activity.refresh()];
    if (event.data.comment) work.push(this.comments.follow(event));
    if (event.data.attachment) work.push(this.files.follow(event));
    this.#guarded(work);
  }

  /** The board was loaded anew: what happened meanwhile is not known one by one. */
  reload() {
    if (this.#task !== null) this.#guarded(this.all.map((section) => section.refresh()));
  }

  /** What this person may do has changed. */
  redraw() {
    if (this.#task === null) return;
    for (const section of this.all) section.redraw();
  }

  /** What could not be loaded is said; the fields above work all the same. */
  async #guarded(work) {
    const task = this.#task;
    for (const { reason } of await Promise.allSettled(work)) {
      if (reason === undefined || reason instanceof SessionEnded || task !== this.#task) continue;
      this.note.textContent = reason.message;
    }
  }
}
