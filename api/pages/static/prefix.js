/**
 * How much of a column this page has: all tasks up to an edge, a place in the column's order, and the number of all.
 * Everything at or before the edge is known exactly; what lies behind it is only counted, until it is asked for.
 */

/** Whether task `a` stands above task `b` in a column that has both. */
export function comesBefore(a, b) {
  return a.rank === b.rank ? a.id < b.id : a.rank < b.rank;
}

export class Prefix {
  /** From a column of a board that was asked for with `per_column`. */
  constructor({ count, tasks, next_cursor: cursor }) {
    this.count = count;
    this.take(tasks, cursor);
  }

  /** The next page is there, or the first one: the edge moves behind its last task, or to the end of the column. */
  take(tasks, cursor) {
    this.cursor = cursor;
    this.edge = cursor === null ? null : { rank: tasks.at(-1).rank, id: tasks.at(-1).id };
  }

  /** Whether the whole column is here. */
  get whole() {
    return this.edge === null;
  }

  has(task) {
    return this.whole || !comesBefore(this.edge, task);
  }
}

/**
 * The column that an event's task stood in before it, null when it was not on the board. The event says it
 * itself, so that a task which was never loaded is counted rightly too.
 */
export function columnBefore(type, { task, previous = {} }) {
  if (type === "task.created" || type === "task.restored") return null;
  const archived = "archived_at" in previous ? previous.archived_at : task.archived_at;
  return archived ? null : (previous.column_id ?? task.column_id);
}

/** The column that an event's task stands in after it, null when it is not on the board. */
export function columnAfter({ task }) {
  return task.archived_at ? null : task.column_id;
}
