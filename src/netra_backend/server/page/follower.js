// A follower: this page's interest in one thread, and how far it has got.
//
//   idle ──follow()──► asking ──followed──► following ──lost()──► idle
//                        ▲        │              │
//                        └── a frame is missing ─┘        asking ──denied, unknown──► ended
//
// From `ended` only another follow() leads out: the thread may exist by then.
//
// Every event is applied exactly once and in order: a frame is applied only if its first offset
// is the last one's plus one. A duplicate is ignored, and for a gap the rest is asked for again.

import { Refusal } from "./errors.js";
import { formatPosition, judge, parsePosition } from "./positions.js";

const FAULTS_BEFORE_ANEW = 3; // Gaps in a row after which the history is taken from its beginning.
const PAUSE_MS = 1_000; // Before a follow that failed is tried again; it doubles each time,
const LONGEST_PAUSE_MS = 16_000; // up to this.

export class Follower {
  #thread;
  #options;
  #faults = 0;
  #pauses = 0;
  #timer = null;
  #withdraw = () => {};

  state = "idle";
  /** The position of the last entry that was applied, or null. */
  position = null;

  /**
   * `ask(command, answered)` sends a command (see Connection). Called back are `onReset()` to
   * forget everything, `onEvent(event)` for each event in order, `onMoved(followed)` after the
   * position has moved or the follow was answered, `onDelayed(refusal)` when the thread cannot be
   * followed now but maybe later, and `onEnded(reason, refusal)` when it cannot be followed:
   * "denied", "unknown" or "refused".
   */
  constructor(thread, options) {
    this.#thread = thread;
    this.#options = { timers: globalThis, ...options };
  }

  /** Ask for everything after the position. */
  follow() {
    this.#rest();
    this.state = "asking";
    const command = { type: "follow", thread: this.#thread };
    if (this.position) command.after = formatPosition(this.position);
    this.#withdraw = this.#options.ask(command, (frame) => this.#answered(frame));
  }

  /** The connection is gone; `follow` continues on the next one. */
  lost() {
    this.#rest();
    if (this.state !== "ended") this.state = "idle";
  }

  /** Be interested no more. */
  end() {
    this.#rest();
    this.state = "ended";
  }

  /** Take an event frame of the thread. */
  take(frame) {
    if (this.state !== "following") return; // It belongs to a follow before this one.
    const { verdict, position } = judge(this.position, frame);
    if (verdict === "gap") return this.#fault();
    if (verdict === "duplicate") return;
    this.#faults = 0;
    this.position = position;
    this.#options.onEvent(frame.chunk);
    this.#options.onMoved(null);
  }

  #answered(frame) {
    if (frame.type === "error") return this.#refused(new Refusal(frame));
    const { resume, id } = frame;
    if (resume === "denied" || resume === "unknown") return this.#finish(resume);
    const start = parsePosition(id);
    if (resume === "snapshot" || resume === "gap") this.#startOver(start, frame.prelude ?? []);
    else if (!this.#continues(resume, start)) return this.#fault();
    this.state = "following";
    this.#pauses = 0;
    this.#options.onMoved(frame);
  }

  #startOver(start, prelude) {
    this.#options.onReset();
    this.position = start;
    for (const event of prelude) this.#options.onEvent(event);
  }

  /** Return whether what comes continues what we have; set the position to begin from. */
  #continues(resume, start) {
    if (!start) return false;
    if (this.position === null) {
      if (resume === "caught_up" && start.offset !== 0n) return false;
      this.#options.onReset();
      this.position = { epoch: start.epoch, offset: 0n };
      return true;
    }
    if (start.epoch !== this.position.epoch) return false;
    return resume !== "caught_up" || start.offset === this.position.offset;
  }

  /** Something is missing: ask for it; if that does not help, for everything, and not too often. */
  #fault() {
    this.#faults += 1;
    if (this.#faults < FAULTS_BEFORE_ANEW) return this.follow();
    this.position = null;
    this.#later();
  }

  #refused(refusal) {
    if (!refusal.retry) return this.#finish("refused", refusal);
    this.#later();
    this.#options.onDelayed(refusal);
  }

  #later() {
    this.#rest();
    this.state = "asking";
    const pause = Math.min(PAUSE_MS * 2 ** this.#pauses++, LONGEST_PAUSE_MS);
    this.#timer = this.#options.timers.setTimeout(() => this.follow(), pause);
  }

  #finish(reason, refusal = null) {
    this.end();
    this.#options.onEnded(reason, refusal);
  }

  #rest() {
    this.#withdraw();
    this.#options.timers.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
