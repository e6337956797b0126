// The conversation: draws the items of a fold, and only what changed, once a frame.

import { activity } from "./activity.js";
import { answer } from "./answer.js";
import { ending } from "./ending.js";
import { note } from "./note.js";
import { question } from "./question.js";
import { said } from "./said.js";
import { thinking } from "./thinking.js";
import { toolcall } from "./toolcall.js";

const PIECES = { user: said, answer, thinking, tool: toolcall, note, activity, question, ending };
const OPEN = ".question:not([data-verdict])";
const NEAR_BOTTOM = 60; // Pixels from the end within which the view follows what is new.
const UNSEEN_MS = 250; // A page that is not seen gets no frames and is drawn this late.
const ABOVE = 12; // Pixels that are left above a question which does not fit.
const EASE = 3; // A drawing that took long is followed by a pause of this many times as long.

export class ConversationView {
  #log;
  #list;
  #toBottom;
  #actions;
  #onDrawn;
  #source = null; // () => {items} of the open thread
  #drawn = new Map(); // key → {piece, version}
  #scheduled = false;
  #pause = null; // The timer of the pause after a drawing that took long.
  #follows = true;
  #placed = 0; // How far it was scrolled to follow.
  #passed = null; // The question that the person has scrolled on from.

  /**
   * `log` scrolls, `list` holds the pieces, `toBottom` is the button that leads to the end.
   * `actions` are what the pieces call; `onDrawn()` is called in the same frame as each drawing.
   */
  constructor({ log, list, toBottom }, actions, onDrawn) {
    this.#log = log;
    this.#list = list;
    this.#toBottom = toBottom;
    this.#actions = actions;
    this.#onDrawn = onDrawn;
    log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // Who unfolds something wants to read that, not the end.
    list.addEventListener("click", (event) => {
      if (event.target.closest("summary")) this.#follows = false;
    });
    toBottom.addEventListener("click", () => {
      this.scrollToEnd();
      log.focus({ preventScroll: true }); // The button is gone.
    });
    new ResizeObserver(() => this.#keepEnd()).observe(list);
    new ResizeObserver(() => this.#keepEnd()).observe(log);
  }

  /** Show another thread: `source()` returns its items. */
  show(source) {
    this.#source = source;
    this.#drawn.clear();
    this.#list.replaceChildren();
    this.#follows = true;
    this.#passed = null;
    this.hurry(); // A pause was for what is shown no more.
    this.changed();
  }

  /** Draw soon: at most once a frame, and with a pause after a drawing that took long. */
  changed() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const frame = requestAnimationFrame(() => this.#due(frame, timer));
    const timer = setTimeout(() => this.#due(frame, timer), UNSEEN_MS);
  }

  /** Pause no longer after a drawing that took long: what has come since is whole, and what is seen is not. */
  hurry() {
    if (this.#pause !== null) this.#rested();
  }

  #due(frame, timer) {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    this.#draw();
  }

  scrollToEnd() {
    if (this.#follows) this.#passed = this.#asked();
    this.#follows = true;
    this.#keepEnd();
  }

  #draw() {
    const started = performance.now();
    // Where frames are rare, the event that tells of it may come after this drawing.
    if (this.#follows && this.#drawn.size > 0) this.#scrolled();
    try {
      this.#drawItems(this.#source());
      this.#onDrawn();
      this.#keepEnd();
    } finally {
      // What cannot be drawn now must not keep what comes later from it.
      const took = performance.now() - started;
      if (took < 8) this.#scheduled = false;
      else this.#pause = setTimeout(() => this.#rested(), took * EASE);
    }
  }

  #drawItems(items) {
    this.#forget(items);
    let before = null;
    for (const item of items) {
      const { node } = this.#pieceOf(item);
      const place = before ? before.nextSibling : this.#list.firstChild;
      if (place !== node) this.#list.insertBefore(node, place);
      before = node;
    }
  }

  /** The pause is over; what came meanwhile is drawn. */
  #rested() {
    clearTimeout(this.#pause);
    this.#pause = null;
    this.#scheduled = false;
    this.changed();
  }

  #pieceOf(item) {
    let drawn = this.#drawn.get(item.key);
    if (!drawn) {
      drawn = { piece: PIECES[item.kind](item, this.#actions), version: null };
      drawn.piece.node.dataset.key = item.key;
      this.#drawn.set(item.key, drawn);
    }
    if (drawn.version !== item.version) {
      drawn.piece.update(item);
      drawn.version = item.version;
    }
    return drawn.piece;
  }

  #forget(items) {
    if (this.#drawn.size === 0) return;
    const keys = new Set(items.map((item) => item.key));
    for (const [key, { piece }] of this.#drawn) {
      if (keys.has(key)) continue;
      piece.node.remove();
      this.#drawn.delete(key);
    }
  }

  /** The person has scrolled, or the browser has for them, unless it was us. */
  #scrolled() {
    if (this.#follows && this.#log.scrollTop === this.#placed) return;
    this.#passed = this.#asked();
    this.#follows = this.#below < NEAR_BOTTOM;
    this.#toBottom.hidden = this.#follows;
  }

  /** Pixels that are below what is seen. */
  get #below() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    return scrollHeight - scrollTop - clientHeight;
  }

  #keepEnd() {
    if (this.#follows) {
      this.#log.scrollTop = Math.min(this.#log.scrollHeight, this.#topOfQuestion());
      this.#placed = this.#log.scrollTop;
    }
    this.#toBottom.hidden = this.#below < NEAR_BOTTOM;
  }

  /** Return how far to scroll at most, so that who is asked sees the question before its last field. */
  #topOfQuestion() {
    const asked = this.#asked();
    if (asked === null || asked === this.#passed) return Infinity;
    const { top } = this.#log.getBoundingClientRect();
    return asked.getBoundingClientRect().top - top + this.#log.scrollTop - ABOVE;
  }

  /** Return the first of the open questions that the conversation ends with, or null. */
  #asked() {
    let asked = null;
    for (let node = this.#list.lastElementChild; node?.matches(OPEN); node = node.previousElementSibling) asked = node;
    return asked;
  }
}
