/**
 * A team's board, folded from a snapshot and events in exact `seq` order, plus what this page has asked for and not yet
 * seen confirmed. No DOM here.
 *
 * Confirmed state changes only by `apply` (the next seq, nothing else), `replace` (another snapshot) and `extend` (more
 * of a column). Own changes are patches laid over it: dropped when the fold reaches the `seq` of their answer, or at once
 * when the server refused. Of each column a prefix is shown; what an event moves behind its edge leaves the screen, and
 * is counted.
 */

import { comesBefore, Prefix, statusAfter, statusBefore } from "./prefix.js";

/** So many tasks of each column are loaded at first, and with each page after that. */
export const PER_COLUMN = 50;

export const STATUSES = ["open", "in_progress", "in_review", "done", "cancelled"];

/** Sorts before every character a rank can hold, so `rank + AFTER` stands directly behind `rank`. */
const AFTER = "\u0001";

export class Board {
  #tasks = new Map();
  #shown = new Map();
  #pending = new Map();
  #prefixes = new Map();
  #extending = new Set();
  #waiting = [];

  /** `changed` gets `{id, before, after, from, to, mine}` for every card that must be drawn anew, moved or removed. */
  constructor(snapshot, changed) {
    this.columns = Object.fromEntries(STATUSES.map((status) => [status, []]));
    this.members = new Map();
    this.labels = new Map();
    this.team = null;
    this.changed = changed;
    this.seq = snapshot.seq;
    this.epoch = snapshot.epoch;
    for (const column of snapshot.columns) {
      this.#prefixes.set(column.status, new Prefix(column));
      for (const task of column.tasks) {
        this.#tasks.set(task.id, task);
        this.#shown.set(task.id, task);
      }
      // The server's order is the order; sorting again keeps the binary searches right whatever it sends.
      this.columns[column.status] = column.tasks.toSorted((a, b) => (comesBefore(a, b) ? -1 : 1)).map((task) => task.id);
    }
  }

  /** How many tasks the column has, with own pending changes. */
  count(status) {
    let count = this.#prefixes.get(status).count;
    for (const id of this.#pending.keys()) {
      count += Number(this.#effective(id)?.status === status) - Number(this.#tasks.get(id)?.status === status);
    }
    return count;
  }

  /** Whether all of the column is here, not only its top. */
  whole(status) {
    return this.#prefixes.get(status).whole;
  }

  /** Whether all of every column is here. */
  get complete() {
    return STATUSES.every((status) => this.whole(status));
  }

  /** The task as it is shown: confirmed, with own pending changes. */
  task(id) {
    return this.#shown.get(id);
  }

  /** The task as the server last confirmed it. */
  confirmed(id) {
    return this.#tasks.get(id);
  }

  /**
   * Fold one event: "applied", "old" (seen before), "hole" (something is missing) or "unsure": ranks behind an edge
   * have changed, so that it is not known any more who stands before it, or a task behind an edge is gone for good, and
   * its event does not say from which column. The last two ask for the board to be loaded anew.
   */
  apply(event) {
    if (event.seq <= this.seq) return "old";
    if (event.seq !== this.seq + 1) return "hole";
    this.seq = event.seq;
    const { task, ranks } = event.data;
    const deleted = event.type === "task.deleted";
    const miscounted = deleted && !this.#tasks.has(task.id) && !this.complete;
    const touched = new Set(this.#fold(event));
    for (const id of this.#dropSettled()) touched.add(id);
    for (const id of touched) this.#show(id, false);
    this.#wakeReached();
    if (miscounted) return "unsure";
    return !deleted && Object.keys(ranks ?? {}).length > 0 && !this.whole(task.status) ? "unsure" : "applied";
  }

  /** Comes when the fold is at `seq`, or has begun anew: that `seq` may be of a history that is gone. */
  reached(seq) {
    return new Promise((resolve) => {
      this.#waiting.push({ seq, resolve });
      this.#wakeReached();
    });
  }

  #wakeReached(all = false) {
    const due = this.#waiting.filter((one) => all || one.seq <= this.seq);
    this.#waiting = this.#waiting.filter((one) => !due.includes(one));
    for (const { resolve } of due) resolve();
  }

  /** More of a column is going to be asked for, after `cursor`: give what comes back to `extend`, or to `forget`. */
  expectMore(status) {
    const request = { status, cursor: this.#prefixes.get(status).cursor, touched: [] };
    this.#extending.add(request);
    return request;
  }

  forget(request) {
    this.#extending.delete(request);
  }

  /** A page that is true at `seq`, which the fold has reached; what later events touched is known better already. */
  extend(request, { items, next_cursor: cursor }, seq) {
    if (!this.#extending.delete(request)) return;
    const newer = new Set(request.touched.filter((one) => one.seq > seq).map((one) => one.id));
    for (const task of items) if (!newer.has(task.id)) this.#tasks.set(task.id, task);
    this.#prefixes.get(request.status).take(items, cursor);
    for (const [id, task] of this.#tasks) if (task.status === request.status && !this.#shown.has(id)) this.#show(id, true);
  }

  /** The ETag, without quotes, of a task at this version: from the second epoch on it names the epoch. */
  tag(version) {
    return this.epoch > 1 ? `${this.epoch}.${version}` : `${version}`;
  }

  /** Take over a snapshot of any later (or, after a restore, any) position; only what differs is redrawn. */
  replace(snapshot) {
    const rewritten = snapshot.epoch !== this.epoch;
    if (!rewritten && snapshot.seq < this.seq) return;
    const fresh = new Map();
    this.#extending.clear();
    for (const column of snapshot.columns) {
      this.#prefixes.set(column.status, new Prefix(column));
      for (const task of column.tasks) fresh.set(task.id, task);
    }
    const touched = [...this.#tasks.keys()].filter((id) => !fresh.has(id));
    for (const [id, task] of fresh) {
      const old = this.#tasks.get(id);
      if (old === undefined || old.version !== task.version || old.rank !== task.rank) touched.push(id);
    }
    this.#tasks = fresh;
    this.seq = snapshot.seq;
    this.epoch = snapshot.epoch;
    for (const id of [...touched, ...this.#dropSettled(rewritten)]) this.#show(id, false);
    this.#wakeReached(true);
  }

  /** Lay `patch` (null: gone) over a task until the server has answered. Gives the handle for `settle` or `undo`. */
  expect(id, patch) {
    const entry = { id, patch, until: null };
    this.#pending.set(id, [...(this.#pending.get(id) ?? []), entry]);
    this.#show(id, true);
    return entry;
  }

  /** The server answered with `seq` and the task as it is then (null: gone). */
  settle(entry, seq, task) {
    entry.until = seq;
    entry.patch = task;
    if (this.seq >= seq) this.#withdraw(entry);
    this.#show(entry.id, true);
  }

  /** The server refused: back to what is confirmed. */
  undo(entry) {
    this.#withdraw(entry);
    this.#show(entry.id, true);
  }

  /** A rank that sorts directly behind the card at `index - 1` of the column without `id`; the server gives the real one. */
  rankAt(status, index, id) {
    const others = this.columns[status].filter((other) => other !== id);
    return index > 0 ? this.task(others[index - 1]).rank + AFTER : "";
  }

  *#fold({ type, data, seq }) {
    if (data.task) yield* this.#foldTask(type, data, seq);
    else if (data.member) this.#foldMember(type, data.member);
    else if (data.label) yield* this.#foldLabel(type, data.label);
    else if (data.team) this.team = { ...this.team, ...data.team };
    if (type === "team.updated" || type === "member.role_changed") this.onTeam?.();
  }

  *#foldTask(type, data, seq) {
    if (type === "task.deleted") {
      yield this.#forget(data.task.id, seq);
      return;
    }
    const { task, ranks } = data;
    for (const [id, rank] of Object.entries(ranks ?? {})) {
      const neighbour = this.#tasks.get(id);
      if (neighbour === undefined) continue;
      this.#tasks.set(id, { ...neighbour, rank, version: seq });
      yield id;
    }
    const [from, to] = [statusBefore(type, data), statusAfter(data)];
    if (from !== null) this.#prefixes.get(from).count -= 1;
    if (to !== null) this.#prefixes.get(to).count += 1;
    if (to === null) this.#tasks.delete(task.id);
    else this.#tasks.set(task.id, task);
    for (const request of this.#extending) request.touched.push({ id: task.id, seq });
    yield task.id;
  }

  /** A task that is gone for good: its event says no more than which one it was. */
  #forget(id, seq) {
    const task = this.#tasks.get(id);
    if (task !== undefined) this.#prefixes.get(task.status).count -= 1;
    this.#tasks.delete(id);
    for (const request of this.#extending) request.touched.push({ id, seq });
    return id;
  }

  #foldMember(type, member) {
    if (type === "member.removed") this.members.delete(member.user_id);
    else this.members.set(member.user_id, member);
  }

  /** A label's new name or colour shows on every card that wears it. */
  *#foldLabel(type, label) {
    if (type === "label.deleted") this.labels.delete(label.id);
    else this.labels.set(label.id, label);
    for (const [id, task] of this.#tasks) {
      if (!task.label_ids.includes(label.id)) continue;
      this.#tasks.set(id, { ...task });
      yield id;
    }
  }

  /** Withdraw the patches whose answers are part of the fold by now (`all`: of every answer, its `seq` means nothing any more). */
  *#dropSettled(all = false) {
    for (const entries of [...this.#pending.values()]) {
      for (const entry of entries) {
        if (entry.until === null || (entry.until > this.seq && !all)) continue;
        this.#withdraw(entry);
        yield entry.id;
      }
    }
  }

  #withdraw(entry) {
    const rest = (this.#pending.get(entry.id) ?? []).filter((other) => other !== entry);
    if (rest.length > 0) this.#pending.set(entry.id, rest);
    else this.#pending.delete(entry.id);
  }

  #effective(id) {
    let task = this.#tasks.get(id);
    for (const { patch } of this.#pending.get(id) ?? []) {
      if (patch === null) task = undefined;
      else if (task !== undefined || patch.id !== undefined) task = { ...task, ...patch };
    }
    return task;
  }

  /** Own changes are shown wherever they are until they are confirmed. */
  #visible(id) {
    const task = this.#effective(id);
    return task !== undefined && (this.#pending.has(id) || this.#prefixes.get(task.status).has(task)) ? task : undefined;
  }

  #show(id, mine) {
    const before = this.#shown.get(id);
    const after = this.#visible(id);
    if (before === after && after !== undefined) return;
    const stays = before && after && before.status === after.status && before.rank === after.rank;
    const from = before && !stays ? { status: before.status, index: this.#take(before) } : null;
    if (after) this.#shown.set(id, after);
    else this.#shown.delete(id);
    const to = after && !stays ? { status: after.status, index: this.#insert(after) } : null;
    this.changed({ id, before, after, from, to, mine });
  }

  #take(task) {
    const index = this.#find(task);
    this.columns[task.status].splice(index, 1);
    return index;
  }

  #insert(task) {
    const index = this.#find(task);
    this.columns[task.status].splice(index, 0, task.id);
    return index;
  }

  /** Where the task stands, or would stand, in its column. */
  #find(task) {
    const column = this.columns[task.status];
    let low = 0;
    let high = column.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comesBefore(this.#shown.get(column[middle]), task)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
