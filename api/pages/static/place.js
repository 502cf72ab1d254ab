/**
 * A place in a team's history, for pages that follow the feed without showing a board: each event is told in its order,
 * and what was missed is a reload, as the feed says it.
 */
export class Place {
  /** `onEvent(event)` is called for each event after the place. */
  constructor({ seq, epoch }, onEvent) {
    this.seq = seq;
    this.epoch = epoch;
    this.onEvent = onEvent;
  }

  apply(event) {
    if (event.seq <= this.seq) return "old";
    if (event.seq !== this.seq + 1) return "hole";
    this.seq = event.seq;
    this.onEvent(event);
    return "applied";
  }

  replace(snapshot) {
    this.seq = snapshot.seq;
    this.epoch = snapshot.epoch;
  }
}
