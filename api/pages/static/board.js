/**
 * A team's board, folded from a snapshot and events in exact `seq` order, plus what this page has asked for and not yet
 * seen confirmed. No DOM here.
 *
 * Confirmed state changes only by `apply` (the next seq, nothing else), `replace` (another snapshot) and `extend` (more
 * of a column). Own changes are patches laid over it: dropped when the fold reaches the `seq` of their answer, or at once
 * when the server refused. Of each column a prefix is shown; what an event moves behind its edge leaves the screen, and
 * is counted.
 */

import { columnAfter, columnBefore, comesBefore, Prefix } from "./prefix.js";

/** So many tasks of each column are loaded at first, and with each page after that. */
export const PER_COLUMN = 50;

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
    /** The columns, in their order, as the server describes them; `columns` has the cards of each, by its id. */
    this.order = [];
    this.columns = {};
    this.members = new Map();
    this.labels = new Map();
    this.team = null;
    this.changed = changed;
    this.seq = snapshot.seq;
    this.epoch = snapshot.epoch;
    for (const column of snapshot.columns) {
      this.#prefixes.set(column.id, new Prefix(column));
      for (const task of column.tasks) this.#tasks.set(task.id, task);
    }
    this.#layOut(snapshot.columns);
  }

  /** The column with this id, undefined when it is gone. */
  column(id) {
    return this.order.find((column) => column.id === id);
  }

  /** Other columns, or another order of them: every card is put into its place anew. */
  #layOut(columns) {
    this.order = columns.map(({ tasks, ...column }) => column);
    this.columns = Object.fromEntries(this.order.map(({ id }) => [id, []]));
    this.#shown.clear();
    for (const id of new Set([...this.#tasks.keys(), ...this.#pending.keys()])) {
      const task = this.#visible(id);
      if (task === undefined || !(task.column_id in this.columns)) continue;
      this.#shown.set(id, task);
      this.columns[task.column_id].push(id);
    }
    // The server's order is the order; sorting again keeps the binary searches right whatever it sends.
    for (const ids of Object.values(this.columns)) {
      ids.sort((a, b) => (comesBefore(this.#shown.get(a), this.#shown.get(b)) ? -1 : 1));
    }
    this.onColumns?.();
  }

  /** How many tasks the column has, with own pending changes. */
  count(column) {
    let count = this.#prefixes.get(column).count;
    for (const id of this.#pending.keys()) {
      count += Number(this.#effective(id)?.column_id === column) - Number(this.#tasks.get(id)?.column_id === column);
    }
    return count;
  }

  /** Whether all of the column is here, not only its top. */
  whole(column) {
    return this.#prefixes.get(column).whole;
  }

  /** Whether all of every column is here. */
  get complete() {
    return this.order.every(({ id }) => this.whole(id));
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
   * have changed, so that it is not known any more who stands before it, a task behind an edge is gone for good, and its
   * event does not say from which column, or a column has moved among others. The last two ask for the board to be loaded
   * anew.
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
    this.onEvent?.(event);
    if (miscounted || event.type === "column.moved") return "unsure";
    return task !== undefined && !deleted && Object.keys(ranks ?? {}).length > 0 && !this.whole(task.column_id) ? "unsure" : "applied";
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
  expectMore(column) {
    const request = { column, cursor: this.#prefixes.get(column).cursor, touched: [] };
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
    this.#prefixes.get(request.column)?.take(items, cursor);
    for (const [id, task] of this.#tasks) if (task.column_id === request.column && !this.#shown.has(id)) this.#show(id, true);
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
    const other = String(this.order.map(({ id }) => id)) !== String(snapshot.columns.map(({ id }) => id));
    this.#prefixes.clear();
    for (const column of snapshot.columns) {
      this.#prefixes.set(column.id, new Prefix(column));
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
    touched.push(...this.#dropSettled(rewritten));
    if (other) this.#layOut(snapshot.columns);
    else this.#redescribe(snapshot.columns, touched);
    this.#wakeReached(true);
  }

  #redescribe(columns, touched) {
    this.order = columns.map(({ tasks, ...column }) => column);
    for (const id of touched) this.#show(id, false);
    this.onColumn?.();
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
  rankAt(column, index, id) {
    const others = this.columns[column].filter((other) => other !== id);
    return index > 0 ? this.task(others[index - 1]).rank + AFTER : "";
  }

  *#fold({ type, data, seq }) {
    if (data.task) yield* this.#foldTask(type, data, seq);
    else if (data.member) this.#foldMember(type, data.member);
    else if (data.label) yield* this.#foldLabel(type, data.label);
    else if (data.column) this.#foldColumn(type, data.column);
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
    const [from, to] = [columnBefore(type, data), columnAfter(data)];
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
    if (task !== undefined) this.#prefixes.get(task.column_id).count -= 1;
    this.#tasks.delete(id);
    for (const request of this.#extending) request.touched.push({ id, seq });
    return id;
  }

  /** A new column is the last one. Where one has moved to, the board says that is asked for anew. */
  #foldColumn(type, column) {
    const known = this.column(column.id);
    if (type === "column.created" && known === undefined) {
      this.#prefixes.set(column.id, new Prefix({ count: 0, tasks: [], next_cursor: null }));
      this.#layOut([...this.order, column]);
    } else if (type === "column.deleted" && known !== undefined) {
      this.#layOut(this.order.filter((other) => other !== known));
      this.#prefixes.delete(column.id);
    } else if (type === "column.updated" && known !== undefined) {
      Object.assign(known, column);
      this.onColumn?.();
    }
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
    return task !== undefined && (this.#pending.has(id) || this.#prefixes.get(task.column_id)?.has(task)) ? task : undefined;
  }

  #show(id, mine) {
    const before = this.#shown.get(id);
    const after = this.#visible(id);
    if (before === after && after !== undefined) return;
    const stays = before && after && before.column_id === after.column_id && before.rank === after.rank;
    const from = before && !stays ? { column: before.column_id, index: this.#take(before) } : null;
    if (after) this.#shown.set(id, after);
    else this.#shown.delete(id);
    const to = after && !stays ? { column: after.column_id, index: this.#insert(after) } : null;
    this.changed({ id, before, after, from, to, mine });
  }

  #take(task) {
    const index = this.#find(task);
    this.columns[task.column_id].splice(index, 1);
    return index;
  }

  #insert(task) {
    const index = this.#find(task);
    this.columns[task.column_id].splice(index, 0, task.id);
    return index;
  }

  /** Where the task stands, or would stand, in its column. */
  #find(task) {
    const column = this.columns[task.column_id];
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
