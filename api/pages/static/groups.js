/**
 * The cards of a column on screen, in groups that the browser passes over as a whole while they are out of sight
 * (`content-visibility` of the stylesheet). With that on each card it watched thousands of boxes in every frame, and
 * looked through all of them for the one under the pointer: a drag among 5,000 cards took about three times as long.
 */

import { h } from "./dom.js";

/** So many cards a group begins with. */
const SIZE = 50;

/** Beside a group of so many a new one begins. None is ever parted: an element that is moved loses focus and drag. */
const FULL = 2 * SIZE;

export class Groups {
  constructor() {
    // A list of items to those who hear it, whatever is between: a `ul` may hold nothing but its items.
    this.element = h("div", { class: "cards", role: "list" });
  }

  clear() {
    this.element.replaceChildren();
  }

  /** Below all others. */
  append(cards) {
    for (let at = 0; at < cards.length; ) {
      const last = this.element.lastElementChild;
      const group = last !== null && last.childElementCount < SIZE ? last : this.#newGroup(null);
      const some = cards.slice(at, at + SIZE - group.childElementCount);
      group.append(...some);
      foresee(group);
      at += some.length;
    }
  }

  /** So that `index` cards are above it. */
  insert(card, index) {
    let above = index;
    for (const group of this.element.children) {
      const size = group.childElementCount;
      if (above < size || (above === size && size < FULL)) {
        const own = above === 0 && size >= FULL ? this.#newGroup(group) : group;
        own.insertBefore(card, own.children[above] ?? null);
        foresee(own);
        return;
      }
      above -= size;
    }
    this.append([card]);
  }

  remove(card) {
    const group = card.parentElement;
    card.remove();
    if (group.childElementCount === 0) group.remove();
    else foresee(group);
  }

  /** How many cards have their middle above this height of the window. What is out of sight is not laid out for it. */
  countAbove(clientY) {
    let count = 0;
    for (const group of this.element.children) {
      const box = group.getBoundingClientRect();
      if (box.bottom < clientY) count += group.childElementCount;
      else if (box.top > clientY) break;
      else for (const card of group.children) count += Number(middle(card) < clientY);
    }
    return count;
  }

  /** The card with so many above it, undefined where there is none. */
  at(index) {
    let above = index;
    for (const group of this.element.children) {
      if (above < group.childElementCount) return group.children[above];
      above -= group.childElementCount;
    }
    return undefined;
  }

  #newGroup(before) {
    return this.element.insertBefore(h("div", { class: "group" }), before);
  }
}

/** How high it may be, until it has been on the screen once. */
function foresee(group) {
  group.style.setProperty("--cards", String(group.childElementCount));
}

function middle(card) {
  const box = card.getBoundingClientRect();
  return box.top + box.height / 2;
}
