/** One open team: its board, view and feed, and everything a person can do to its tasks. */

import { Problem } from "./api.js";
import { Board, PER_COLUMN } from "./board.js";
import { announce, toast } from "./dom.js";
import { Feed } from "./feed.js";

export class OpenTeam {
  #queue = Promise.resolve();
  #extending = new Map();

  /** `hooks`: state(text), removed(), changed(change), team(), columns(), happened(event), notice(operation), reloaded(). Call `load` before anything else. */
  constructor(api, team, view, hooks) {
    this.api = api;
    this.team = team;
    this.view = view;
    this.hooks = hooks;
    this.board = null;
    this.feed = null;
  }

  /** Load everything, show it, and follow the feed from there on. */
  async load() {
    const { id } = this.team;
    const options = { team: id };
    const [board, members, labels, team] = await Promise.all([
      this.api.get(`/v1/teams/${id}/board?per_column=${PER_COLUMN}`, options),
      this.api.list(`/v1/teams/${id}/members`, options),
      this.api.list(`/v1/teams/${id}/labels`, options),
      this.api.get(`/v1/teams/${id}`, options),
    ]);
    this.team = team.data;
    this.board = new Board(board.data, (change) => this.#onChange(change));
    this.board.team = team.data;
    this.board.onEvent = (event) => this.hooks.happened(event);
    this.board.onTeam = () => this.#reloadTeam();
    this.board.onColumns = () => this.#columnsChanged(() => this.view.show(this.board));
    this.board.onColumn = () => this.#columnsChanged(() => this.view.retitle());
    for (const member of members) this.board.members.set(member.user_id, member);
    for (const label of labels) this.board.labels.set(label.id, label);
    this.view.show(this.board);
    this.feed = new Feed(this.api, id, this.board, { ...this.hooks, reloaded: () => this.#reloaded() });
    this.feed.start();
  }

  close() {
    this.feed?.stop();
  }

  get mayWrite() {
    return this.team.permissions?.includes("write_tasks") ?? this.team.my_role !== "viewer";
  }

  /** Whether comments of others may be deleted. */
  get mayDelete() {
    return this.team.permissions?.includes("delete_tasks") ?? false;
  }

  get mayManage() {
    return this.team.permissions?.includes("manage_team") ?? false;
  }

  #columnsChanged(draw) {
    draw();
    this.hooks.columns();
  }

  /** Load the next page of a column, once at a time. Comes back when it is on the board, or there is no more. */
  more(column) {
    const running = this.#extending.get(column) ?? this.#extend(column).finally(() => this.#extending.delete(column));
    this.#extending.set(column, running);
    return running;
  }

  async #extend(column) {
    const { board } = this;
    if (board.whole(column)) return;
    const request = board.expectMore(column);
    try {
      const query = new URLSearchParams({ team_id: this.team.id, column, sort: "rank", limit: PER_COLUMN, cursor: request.cursor });
      const { data, seq } = await this.api.get(`/v1/tasks?${query}`, this.#options());
      await board.reached(seq);
      board.extend(request, data, seq);
    } finally {
      board.forget(request);
    }
  }

  /**
   * Put the card at `index` of the column (counted without it); it stands there at once and returns if refused. Below the
   * last card that is loaded there are others: they are loaded first, so that there is a place between two.
   */
  async move(id, column, index) {
    const { board } = this;
    const loaded = board.columns[column].filter((other) => other !== id).length;
    if (index >= loaded && !board.whole(column)) await this.view.more(column);
    const [task, described] = [board.task(id), board.column(column)];
    if (task === undefined || described === undefined) return;
    const others = board.columns[column].filter((other) => other !== id);
    if (task.column_id === column && board.columns[column].indexOf(id) === index) return;
    const target = { column_id: column };
    if (index > 0) target.after_id = others[index - 1];
    else if (others.length > 0) target.before_id = others[0];
    const entry = board.expect(id, { column_id: column, status: described.category, rank: board.rankAt(column, index, id) });
    announce(`${task.key} moved to ${described.name}, ${index + 1} of ${others.length + 1}`);
    try {
      await this.#settle(entry, () => this.api.post(`/v1/tasks/${id}/move`, target, this.#options()));
    } catch (error) {
      toast(`${task.key} went back: ${error.message}`, "error");
    }
  }

  /** A new task at the bottom of a column. Rejects with the server's problem. */
  async add(column, title) {
    const { data, seq } = await this.#inTurn(() => this.api.post("/v1/tasks", { team_id: this.team.id, title, column_id: column }, this.#options()));
    this.board.settle(this.board.expect(data.id, data), seq || data.version, data);
    await this.board.reached(data.version);
    const item = this.view.item(data.id);
    if (item === null) toast(`${data.key} is at the bottom of ${this.board.column(column)?.name}, below the cards shown so far.`);
    else item.scrollIntoView({ block: "nearest" });
  }

  /** Save changed fields over the version they were based on. Rejects with the server's problem. */
  save(id, patch, version) {
    const entry = this.board.expect(id, patch);
    return this.#settle(entry, () => this.api.patch(`/v1/tasks/${id}`, patch, { ...this.#options(), ifMatch: this.board.tag(version) }));
  }

  /** A change of the columns; comes back when this page shows it. Rejects with the server's problem. */
  async changeColumns(work) {
    const { seq } = await this.#inTurn(() => work(this.api, `/v1/teams/${this.team.id}/columns`, this.#options()));
    await this.board.reached(seq);
  }

  archive(id) {
    const entry = this.board.expect(id, null);
    return this.#settle(entry, () => this.api.delete(`/v1/tasks/${id}`, this.#options()), true);
  }

  /** The task as it is on the server right now, undefined when it is gone from the board. */
  async fetch(id) {
    try {
      const { data } = await this.api.get(`/v1/tasks/${id}`, this.#options());
      return data.archived_at ? undefined : data;
    } catch (error) {
      if (error instanceof Problem && error.status === 404) return undefined;
      throw error;
    }
  }

  /** The next dates of a series, by the query of where it is (docs/recurrence.md). */
  async datesOf(query) {
    return (await this.api.get(`/v1/teams/${this.team.id}/recurrence?${query}`, this.#options())).data.dates;
  }

  #options() {
    return { team: this.team.id };
  }

  /** One change after the other, as they were made: a later one may name a place that an earlier one made. */
  #inTurn(work) {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #settle(entry, send, gone = false) {
    try {
      const { data, seq } = await this.#inTurn(send);
      this.board.settle(entry, seq || data?.version || this.board.seq, gone ? null : data);
    } catch (error) {
      this.board.undo(entry);
      throw error;
    }
  }

  #onChange(change) {
    this.view.change(change);
    this.hooks.changed(change);
  }

  /** Settings have changed, or what somebody may do: what this person may, the server says. */
  async #reloadTeam() {
    try {
      const { data } = await this.api.get(`/v1/teams/${this.team.id}`, this.#options());
      this.team = this.board.team = data;
    } catch (error) {
      if (!(error instanceof Problem)) return;  // Offline: the feed reloads everything once it is back.
      toast(error.message, "error");
      return;
    }
    this.view.redraw();
    this.hooks.team();
  }

  #reloaded() {
    this.hooks.reloaded();
    return this.#reloadPeople();
  }

  /** Names and labels may have changed while the feed could not say so. */
  async #reloadPeople() {
    const options = this.#options();
    const [members, labels] = await Promise.all([
      this.api.list(`/v1/teams/${this.team.id}/members`, options),
      this.api.list(`/v1/teams/${this.team.id}/labels`, options),
    ]);
    this.board.members = new Map(members.map((member) => [member.user_id, member]));
    this.board.labels = new Map(labels.map((label) => [label.id, label]));
    this.view.redraw();
  }
}
