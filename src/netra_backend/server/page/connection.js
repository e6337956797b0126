// The connection: one WebSocket at a time, reconnected as long as that makes sense.
//
//   connecting ──ready──► live ──lost──► waiting | restarting | offline ──timer──► connecting
//       └──────────────┴──► signed-out (a token is needed) | refused (retrying is pointless)
//
// A command is answered exactly once. One that is `durable` is sent again on the next connection
// until it is; the others are dropped with the socket, because their sender asks anew.

import { backoff } from "./backoff.js";
import { AFTER_LOGIN, LATER, NEVER, Refusal, closeRow } from "./errors.js";
import { json } from "./json.js";

export const STATES = [
  "idle",
  "connecting",
  "live",
  "waiting",
  "restarting",
  "offline",
  "signed-out",
  "refused",
];

const RESTARTING = 1012;
const LOST = 1006;
const FORBIDDEN = 1008;
const UNAUTHENTICATED = 4401;
const LATER_MS = 1_000; // A server that says "later" is not asked again at once.
const STEADY_MS = 5_000; // A connection that lived this long starts the backoff anew.
const CONNECT_MS = 10_000; // How long `ready` may take.
const PROBE_MS = 4_000; // How long a pong may take when there is reason to doubt the network.

export class Connection {
  #options;
  #socket = null;
  #state = "idle";
  #details = {};
  #attempt = 0;
  #liveSince = 0;
  #retryAfter = 0;
  #timers = { retry: null, beat: null, deadline: null };
  #heard = 0;
  #waiting = new Map();
  #lastRequest = 0;

  /** What `ready` said, once there was one. */
  ready = null;

  /**
   * `url` of the socket; `subprotocols()` for each attempt; `standing()` asks over HTTP why a
   * handshake failed (see Api); `online()` is what the browser thinks. Called back are
   * `onState(state, details)`, `onReady(ready)`, `onEvent(frame)` for each event frame,
   * `onUnfollowed(thread, why)` for a thread that is gone and `onRefusal(refusal)` for an error that
   * answers no command. `Socket`, `timers`, `now` and `random` are the browser's own unless given.
   */
  constructor(options) {
    this.#options = {
      Socket: globalThis.WebSocket,
      timers: globalThis,
      now: () => performance.now(),
      random: Math.random,
      ...options,
    };
  }

  get state() {
    return this.#state;
  }

  /** What belongs to the state: `until` (by `now`) while it waits, `code` of the last close. */
  get details() {
    return this.#details;
  }

  /** Connect now, whatever the state; also the way out of `signed-out` and `refused`. */
  start() {
    this.#drop();
    this.#open();
  }

  /** Connect now if that was to happen later anyway. */
  hurry() {
    if (["waiting", "restarting", "offline"].includes(this.#state)) this.start();
    else this.doubt();
  }

  /** Make sure that the socket is alive: without an answer soon, it is taken for lost. */
  doubt() {
    if (this.#state === "live") this.#probe();
  }

  /**
   * Send a command and call `answered(frame)` with its one answer, which may be an `error`.
   * Return what takes it back.
   */
  ask(command, answered, { durable = false } = {}) {
    const request = `r${++this.#lastRequest}`;
    const text = json({ ...command, request });
    const limit = this.ready?.limits?.frame_bytes ?? Infinity;
    if (new TextEncoder().encode(text).length > limit) {
      const message = `The limit is ${limit} bytes.`;
      queueMicrotask(() => answered({ type: "error", code: "too_big", message, retry: false }));
      return () => {};
    }
    if (this.#state === "live") this.#socket.send(text);
    else if (!durable) return () => {};
    this.#waiting.set(request, { text, answered, durable });
    return () => this.#waiting.delete(request);
  }

  /** Send a durable command; return its answer, or throw a Refusal. */
  request(command) {
    return new Promise((resolve, reject) => {
      const answered = (frame) =>
        frame.type === "error" ? reject(new Refusal(frame)) : resolve(frame);
      this.ask(command, answered, { durable: true });
    });
  }

  #open() {
    const { Socket, url, subprotocols } = this.#options;
    this.#assign("connecting");
    const socket = new Socket(url, subprotocols());
    this.#socket = socket;
    this.#expectWithin(CONNECT_MS);
    // A socket that was dropped may still call back: it is not ours any more.
    socket.onmessage = ({ data }) => socket === this.#socket && this.#receive(data);
    socket.onclose = ({ code }) => socket === this.#socket && this.#closed(code);
  }

  #receive(data) {
    this.#heard = this.#options.now();
    this.#clear("deadline");
    const frame = parsed(data);
    if (frame === null) return this.#abandon(); // Not our protocol: nothing after it can be trusted.
    if (frame.type === undefined) return this.#options.onEvent(frame);
    if (frame.type === "ready") return this.#isReady(frame);
    if (frame.type === "draining") return this.#draining(frame);
    return this.#answer(frame);
  }

  #isReady(frame) {
    // What one user wanted is never sent as another.
    if (this.ready && this.ready.user !== frame.user) this.#waiting.clear();
    this.ready = frame;
    this.#liveSince = this.#options.now();
    this.#retryAfter = 0;
    this.#keepBeat(frame.heartbeat);
    for (const { text } of this.#waiting.values()) this.#socket.send(text);
    this.#assign("live");
    this.#options.onReady(frame);
  }

  #draining(frame) {
    this.#retryAfter = Math.max(0, Number(frame.retry_after_ms) || 0);
  }

  #answer(frame) {
    const asked = this.#waiting.get(frame.request);
    if (asked) {
      // The server is about to go: what it did not take is sent to the one that comes after it.
      if (frame.code === "draining" && asked.durable) return;
      this.#waiting.delete(frame.request);
      asked.answered(frame);
    } else if (frame.type === "unfollowed" && frame.request === undefined) {
      this.#options.onUnfollowed(frame.thread, frame.why);
    } else if (frame.type === "error" && frame.request === undefined) {
      this.#options.onRefusal(new Refusal(frame));
    }
  }

  // --- the end of a socket, and what comes after it ---

  #closed(code) {
    const neverReady = this.#state === "connecting";
    this.#drop();
    if (neverReady && code === LOST) this.#explain();
    else this.#next(code);
  }

  /** Ask over HTTP why the handshake failed: a browser does not tell its status. */
  async #explain() {
    const standing = await this.#options.standing();
    if (this.#state !== "connecting" || this.#socket !== null) return; // Something else came up.
    this.#next({ "signed out": UNAUTHENTICATED, shut: FORBIDDEN }[standing] ?? LOST);
  }

  #next(code) {
    const { retry } = closeRow(code);
    if (retry === NEVER) return this.#assign("refused", { code });
    if (retry === AFTER_LOGIN) return this.#assign("signed-out", { code });
    if (this.#liveSince && this.#options.now() - this.#liveSince >= STEADY_MS) this.#attempt = 0;
    this.#liveSince = 0;
    const atLeast = this.#retryAfter || (retry === LATER ? LATER_MS : 0);
    const wait = backoff(this.#attempt++, this.#options.random(), atLeast);
    const { timers, now, online } = this.#options;
    const restarting = this.#retryAfter > 0 || code === RESTARTING;
    const state = restarting ? "restarting" : online() ? "waiting" : "offline";
    this.#assign(state, { code, until: now() + wait });
    this.#timers.retry = timers.setTimeout(() => this.#open(), wait);
  }

  /** Give the socket up because nothing is to be expected of it. */
  #abandon() {
    this.#drop();
    this.#next(LOST);
  }

  /** Let go of the socket and of what only it could answer. */
  #drop() {
    for (const name of Object.keys(this.#timers)) this.#clear(name);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    for (const [request, { durable }] of this.#waiting) {
      if (!durable) this.#waiting.delete(request);
    }
  }

  // --- the heartbeat: the server's own pings are invisible to a page ---

  #keepBeat(interval) {
    const every = Math.max(1_000, Number(interval) || 20_000);
    this.#clear("beat");
    this.#heard = this.#options.now();
    this.#timers.beat = this.#options.timers.setInterval(() => {
      if (this.#options.now() - this.#heard >= every) this.#probe();
    }, every / 2);
  }

  #probe() {
    if (this.#timers.deadline !== null) return;
    this.#socket.send('{"type":"ping"}');
    this.#expectWithin(PROBE_MS);
  }

  /** Without a frame from the server in this time, the socket is taken for dead. */
  #expectWithin(time) {
    const { timers } = this.#options;
    this.#timers.deadline = timers.setTimeout(() => this.#abandon(), time);
  }

  #clear(name) {
    this.#options.timers.clearTimeout(this.#timers[name]); // It also ends an interval.
    this.#timers[name] = null;
  }

  /** Assign the state: the only place that does. */
  #assign(state, details = {}) {
    this.#state = state;
    this.#details = details;
    this.#options.onState(state, details);
  }
}

/** Return the frame that `data` spells, or null if it is none. */
function parsed(data) {
  try {
    const frame = JSON.parse(data);
    return typeof frame === "object" ? frame : null;
  } catch {
    return null;
  }
}
