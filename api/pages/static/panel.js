/**
 * One task in a side panel: edit, save, archive. Saving sends only what was changed here, with If-Match. Changes by
 * others flow into untouched fields at once; where both changed the same field, the person chooses.
 */

import { Problem } from "./api.js";
import { PRIORITY_NAMES, labelChip } from "./card.js";
import { byId, h } from "./dom.js";
import { asFields, dueWords, withDue } from "./due.js";
import { dueIsWhole, followDue, readDue, writeDue } from "./due-field.js";
import { RepeatField, asRecurrence, repeatWords, withRepeat } from "./repeat-field.js";

const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const STALE_TRIES = 3;
const CLASHES = "Somebody changed the same field. Choose theirs or yours above; then you can save.";

/** How each field is read from its control (`base` is the value it was filled with), and written to it. */
const FIELDS = {
  title: { read: (control) => control.value.replaceAll(/\s*\n\s*/gu, " ").trim(), write: setValue },
  description: { read: (control) => control.value, write: setValue },
  column_id: { read: (control) => control.value, write: setValue },
  priority: { read: (control) => control.value, write: setValue },
  assignee_id: { read: (control) => control.value || null, write: setValue },
  estimate: { read: (control) => (control.value === "" ? null : Number(control.value)), write: setValue },
  due: { read: readDue, write: writeDue },
  repeats: { read: (control) => control.repeat.read(), write: (control, value) => control.repeat.write(value) },
  label_ids: { read: readLabels, write: writeLabels },
};

const NAMES = {
  title: "Title",
  description: "Description",
  column_id: "Column",
  priority: "Priority",
  assignee_id: "Assignee",
  estimate: "Estimate",
  due: "Due date",
  repeats: "Repetition",
  label_ids: "Labels",
};

export class Panel {
  #id = null;
  #base = {};
  #version = 0;
  #clashes = new Map();

  /** `sections` is what stands below the fields. `actions`: save(id, patch, version) → Promise, archive(id) → Promise, fetch(id) → Promise<task>, dates(query) → Promise<dates>, mayWrite(). */
  constructor(actions, sections) {
    this.actions = actions;
    this.sections = sections;
    this.dialog = byId("panel");
    this.form = byId("panel-form");
    this.note = byId("panel-note");
    this.save = byId("panel-save");
    this.archive = byId("panel-archive");
    fillSelect(this.#control("priority"), Object.entries(PRIORITY_NAMES));
    this.repeat = this.#control("repeats").repeat = new RepeatField((query) => actions.dates(query));
    this.form.addEventListener("submit", (event) => this.#onSubmit(event));
    this.form.addEventListener("input", () => this.#offer());
    this.#control("title").addEventListener("keydown", (event) => this.#onTitleKey(event));
    this.dialog.addEventListener("cancel", (event) => this.#onCancel(event));
    this.dialog.addEventListener("close", () => this.#onClose());
    this.dialog.addEventListener("mousedown", (event) => this.#onBackdrop(event));
    this.archive.addEventListener("click", () => this.#onArchive());
    for (const id of ["panel-close", "panel-cancel"]) byId(id).addEventListener("click", () => this.#leave());
  }

  get openId() {
    return this.#id;
  }

  /** `found` is the task where the board does not show it. */
  open(team, id, found = team.board.confirmed(id)) {
    const { board } = team;
    if (found === undefined) return;
    const task = withRepeat(withDue(found));
    this.board = board;
    this.#control("due").dataset.zone = board.team?.time_zone ?? "UTC";
    this.#id = id;
    this.#clashes.clear();
    this.#fillChoices(task);
    this.#take(task, Object.keys(FIELDS));
    this.#say("");
    this.#lock(!this.actions.mayWrite());
    this.#drawClashes();
    this.#offer();
    this.dialog.showModal();
    this.#control("title").setSelectionRange(0, 0);
    byId("panel-scroll").scrollTop = 0;
    this.sections.open(team, id);
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  /** The open task changed on the board: follow it, keep what was typed, and point out clashes. */
  follow(found) {
    const task = found && withRepeat(withDue(found));
    if (task === undefined) {
      this.#lock(true);
      this.#say("This task has just left the board.", "error");
      return;
    }
    const dirty = this.#dirty();
    for (const name of dirty) {
      if (same(this.#base[name], task[name])) continue;
      if (same(this.#value(name), task[name])) this.#base[name] = task[name];
      else this.#clashes.set(name, task[name]);
    }
    this.#take(task, Object.keys(FIELDS).filter((name) => !dirty.includes(name)));
    this.#drawClashes();
    this.#offer();
  }

  /** Fill the named fields from the task and take its version as the base of the next save. */
  #take(task, names) {
    this.repeat.follow(task);
    for (const name of names) {
      this.#base[name] = task[name];
      FIELDS[name].write(this.#control(name), task[name]);
    }
    this.#version = task.version;
    byId("panel-key").textContent = task.key;
    byId("panel-times").textContent = `Created ${MOMENT.format(new Date(task.created_at))} · changed ${MOMENT.format(new Date(task.updated_at))}`;
  }

  /** The columns have changed while the panel is open. */
  followColumns() {
    if (!this.dialog.open) return;
    const control = this.#control("column_id");
    const chosen = control.value;
    this.#fillColumns();
    control.value = chosen;
  }

  #fillColumns() {
    fillSelect(this.#control("column_id"), this.board.order.map((column) => [column.id, column.name]));
  }

  #fillChoices(task) {
    this.#fillColumns();
    const members = [...this.board.members.values()].toSorted((a, b) => a.name.localeCompare(b.name));
    const choices = [["", "Nobody"], ...members.map((member) => [member.user_id, member.name])];
    if (task.assignee_id && !this.board.members.has(task.assignee_id)) choices.push([task.assignee_id, "Former member"]);
    fillSelect(this.#control("assignee_id"), choices);
    const labels = [...this.board.labels.values()].toSorted((a, b) => a.name.localeCompare(b.name));
    byId("panel-labels").replaceChildren(
      ...labels.map((label) => h("label", { class: "label-choice" }, h("input", { type: "checkbox", value: label.id }), labelChip(label))),
    );
    byId("panel-labels-field").hidden = labels.length === 0;
  }

  #control(name) {
    return name === "label_ids" ? byId("panel-labels") : this.form.elements.namedItem(name);
  }

  #value(name) {
    return FIELDS[name].read(this.#control(name), this.#base[name]);
  }

  #dirty() {
    return Object.keys(FIELDS).filter((name) => !same(this.#value(name), this.#base[name]));
  }

  #offer() {
    followDue(this.#control("due"));
    this.repeat.offer();
    const dirty = this.#dirty();
    this.save.disabled = dirty.length === 0 || this.#value("title") === "" || this.#clashes.size > 0 || this.#locked || !dueIsWhole(this.#control("due"));
    if (dirty.length === 0 && !this.sections.unsent && this.note.dataset.kind === "unsaved") this.#say("");
    if (this.#clashes.size > 0) this.#say(CLASHES, "clash");
    else if (this.note.dataset.kind === "clash") this.#say("");
  }

  async #onSubmit(event) {
    event.preventDefault();
    if (this.save.disabled) return;
    const id = this.#id;
    this.save.disabled = true;
    this.#say("Saving…");
    try {
      await this.#saveMerging(id);
      if (this.#id !== id) return;
      if (!this.sections.unsent) this.close();
      else this.#say(`Saved. ${this.sections.unsent}`, "unsaved");
    } catch (error) {
      if (this.#id !== id) return;
      this.#say(error.message, "error");
      this.#offer();
    }
  }

  /** Save; when the task moved on meanwhile, merge what others did and try again unless it clashes with ours. */
  async #saveMerging(id) {
    for (let attempt = 1; ; attempt += 1) {
      const patch = Object.fromEntries(this.#dirty().map((name) => [name, this.#value(name)]));
      if (Object.keys(patch).length === 0) return;
      try {
        await this.actions.save(id, asRecurrence(asFields(patch, this.#base.due)), this.#version);
        return;
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== 412 || attempt === STALE_TRIES) throw error;
        this.follow(await this.actions.fetch(id));
        if (this.#clashes.size > 0) throw error;
      }
    }
  }

  async #onArchive() {
    const id = this.#id;
    this.archive.disabled = true;
    try {
      await this.actions.archive(id);
      if (this.#id === id) this.close();
    } catch (error) {
      this.#say(error.message, "error");
    } finally {
      this.archive.disabled = false;
    }
  }

  #drawClashes() {
    for (const old of this.form.querySelectorAll(".clash")) old.remove();
    for (const [name, theirs] of this.#clashes) {
      const choose = (keep) => () => this.#resolve(name, theirs, keep);
      const box = h(
        "div",
        { class: "clash", role: "group", "aria-label": `${NAMES[name]} was changed by somebody else` },
        h("span", null, "Changed meanwhile to: ", h("q", null, this.#spoken(name, theirs))),
        h(
          "span",
          { class: "clash-choice" },
          h("button", { type: "button", class: "quiet", onclick: choose(false) }, "Take theirs"),
          h("button", { type: "button", class: "quiet", onclick: choose(true) }, "Keep mine"),
        ),
      );
      this.#control(name).closest(".field").append(box);
    }
  }

  #resolve(name, theirs, keep) {
    this.#base[name] = theirs;
    if (!keep) FIELDS[name].write(this.#control(name), theirs);
    this.#clashes.delete(name);
    this.#drawClashes();
    this.#offer();
  }

  #spoken(name, value) {
    if (name === "column_id") return this.board.column(value)?.name ?? "a column that is gone";
    if (name === "priority") return PRIORITY_NAMES[value];
    if (name === "assignee_id") return value ? (this.board.members.get(value)?.name ?? "Former member") : "Nobody";
    if (name === "due") return dueWords(value);
    if (name === "repeats") return repeatWords(value);
    if (name === "label_ids") return value.map((id) => this.board.labels.get(id)?.name ?? "?").join(", ") || "none";
    return value === null || value === "" ? "(empty)" : String(value);
  }

  #locked = false;

  #lock(locked) {
    this.#locked = locked;
    byId("panel-fields").disabled = locked;
    this.archive.hidden = locked;
    this.save.hidden = locked;
  }

  #say(text, kind = "note") {
    this.note.textContent = text;
    this.note.dataset.kind = kind;
  }

  #onTitleKey(event) {
    if (event.key !== "Enter") return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  #onCancel(event) {
    if (event.target !== this.dialog || !this.#unsaved) return;
    event.preventDefault();
    this.#warn();
  }

  #onBackdrop(event) {
    if (event.target !== this.dialog) return;
    if (this.#unsaved) this.#warn();
    else this.close();
  }

  get #unsaved() {
    return (this.#dirty().length > 0 || this.sections.unsent !== "") && !this.#locked;
  }

  #warn() {
    const changes = this.#dirty().length > 0 ? "There are unsaved changes: Save keeps them." : "";
    const parts = [changes, this.sections.unsent, "Cancel drops what you wrote."];
    this.#say(parts.filter((part) => part !== "").join(" "), "unsaved");
  }

  #leave() {
    this.close();
  }

  #onClose() {
    const id = this.#id;
    this.#id = null;
    this.sections.close();
    this.actions.closed(id);
  }
}

function same(a, b) {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item) => b.includes(item));
  return (a ?? null) === (b ?? null);
}

function setValue(control, value) {
  control.value = value ?? "";
}

function fillSelect(select, choices) {
  select.replaceChildren(...choices.map(([value, name]) => h("option", { value }, name)));
}

function readLabels(box) {
  return Array.from(box.querySelectorAll("input:checked"), (input) => input.value);
}

function writeLabels(box, ids) {
  for (const input of box.querySelectorAll("input")) input.checked = ids.includes(input.value);
}
