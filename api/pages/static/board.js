/**
 * A team's board, folded from a snapshot and events in exact `seq` order, plus what this page has asked for and not yet
 * seen confirmed. No DOM here.
 *
 * Confirmed state changes only by `apply` (the next seq, nothing else) and `replace` (a whole snapshot). Own changes are
 * patches laid over it: dropped when the fold reaches the `seq` of their answer, or at once when the server refused.
 */

export const STATUSES = ["open", "in_progress", "in_review", "done", "cancelled"];

/** Sorts before every character a rank can hold, so `rank + AFTER` stands directly behind `rank`. */
const AFTER = "\u0001";

function comesBefore(a, b) {
  return a.rank === b.rank ? a.id < b.id : a.rank < b.rank;
}

export class Board {
  #tasks = new Map();
  #shown = new Map();
  #pending = new Map();

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
      for (const task of column.tasks) {
        this.#tasks.set(task.id, task);
        this.#shown.set(task.id, task);
      }
      // The server's order is the order; sorting again keeps the binary searches right whatever it sends.
      this.columns[column.status] = column.tasks.toSorted((a, b) => (comesBefore(a, b) ? -1 : 1)).map((task) => task.id);
    }
  }

  /** The task as it is shown: confirmed, with own pending changes. */
  task(id) {
    return this.#shown.get(id);
  }

  /** The task as the server last confirmed it. */
  confirmed(id) {
    return this.#tasks.get(id);
  }

  /** Fold one event: "applied", "old" (seen before) or "hole" (something is missing; load the board anew). */
  apply(event) {
    if (event.seq <= this.seq) return "old";
    if (event.seq !== this.seq + 1) return "hole";
    this.seq = event.seq;
    const touched = new Set(this.#fold(event));
    for (const id of this.#dropSettled()) touched.add(id);
    for (const id of touched) this.#show(id, false);
    return "applied";
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
    for (const column of snapshot.columns) for (const task of column.tasks) fresh.set(task.id, task);
    const touched = [...this.#tasks.keys()].filter((id) => !fresh.has(id));
    for (const [id, task] of fresh) {
      const old = this.#tasks.get(id);
      if (old === undefined || old.version !== task.version || old.rank !== task.rank) touched.push(id);
    }
    this.#tasks = fresh;
    this.seq = snapshot.seq;
    this.epoch = snapshot.epoch;
    for (const id of [...touched, ...this.#dropSettled(rewritten)]) this.#show(id, false);
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
  }

  *#foldTask(type, { task, ranks }, seq) {
    for (const [id, rank] of Object.entries(ranks ?? {})) {
      const neighbour = this.#tasks.get(id);
      if (neighbour === undefined) continue;
      this.#tasks.set(id, { ...neighbour, rank, version: seq });
      yield id;
    }
    if (type === "task.deleted" || task.archived_at) this.#tasks.delete(task.id);
    else this.#tasks.set(task.id, task);
    yield task.id;
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

  #show(id, mine) {
    const before = this.#shown.get(id);
    const after = this.#effective(id);
    if (before === after) return;
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
