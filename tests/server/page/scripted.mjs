// What stands in for the browser in these tests: a clock that is turned by hand, and a socket
// that a test speaks through. The code under test is the page's own.

import { Connection } from "../../../src/netra_backend/server/page/connection.js";

/** A clock with timers that fire when it is turned. */
export class Clock {
  #timers = new Map();
  #last = 0;
  time = 0;

  setTimeout = (act, wait) => this.#add(act, wait, null);
  setInterval = (act, wait) => this.#add(act, wait, wait);
  clearTimeout = (id) => void this.#timers.delete(id);
  now = () => this.time;

  /** How many timers are set. */
  get pending() {
    return this.#timers.size;
  }

  /** Let `wait` milliseconds pass. */
  turn(wait) {
    const end = this.time + wait;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, timer] = due;
      this.time = timer.at;
      if (timer.every === null) this.#timers.delete(id);
      else timer.at += timer.every;
      timer.act();
    }
    this.time = end;
  }

  #add(act, wait, every) {
    this.#timers.set(++this.#last, { act, at: this.time + wait, every });
    return this.#last;
  }
}

/** A connection whose server is the test: `sockets` are those it has opened, the newest last. */
export function scripted({ standing = async () => "unreachable", online = () => true } = {}) {
  const clock = new Clock();
  const sockets = [];
  const seen = { states: [], ready: [], events: [], unfollowed: [], refusals: [] };
  const listeners = { onReady: () => {}, onEvent: () => {} };

  class Socket {
    sent = [];
    closed = false;

    constructor(url, protocols) {
      Object.assign(this, { url, protocols });
      sockets.push(this);
    }
    send(text) {
      if (this.closed) throw new Error("sent on a closed socket");
      this.sent.push(JSON.parse(text));
    }
    close() {
      this.closed = true;
    }
    /** Say something to the page, as the server. */
    says(...frames) {
      for (const frame of frames) this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
    }
    /** Close the socket, as the server or the network. */
    ends(code) {
      this.onclose?.({ code });
    }
  }

  const connection = new Connection({
    url: "ws://server/ws",
    subprotocols: () => ["netra.v1"],
    standing,
    online,
    Socket,
    timers: clock,
    now: clock.now,
    random: () => 0,
    onState: (state, details) => seen.states.push(state) && (seen.details = details),
    onReady: (frame) => seen.ready.push(frame) && listeners.onReady(frame),
    onEvent: (frame) => seen.events.push(frame) && listeners.onEvent(frame),
    onUnfollowed: (thread) => seen.unfollowed.push(thread),
    onRefusal: (refusal) => seen.refusals.push(refusal),
  });
  return {
    clock,
    connection,
    seen,
    sockets,
    listeners,
    get socket() {
      return sockets.at(-1);
    },
    /** Connect and be welcomed. */
    live(more = {}) {
      connection.start();
      sockets.at(-1).says({ ...READY, ...more });
    },
  };
}

export const READY = {
  type: "ready",
  connection: "c1",
  user: "ann",
  protocol: "netra.v1",
  heartbeat: 20_000,
  limits: { frame_bytes: 1_000, id_length: 128, followed_threads: 64 },
  agents: ["docs"],
  when_busy: { docs: "reject" },
};

/** Let everything that was resolved be carried out. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));
