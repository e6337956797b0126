// The thread that is open: its conversation, its follower, and what a person can do in it.

import { Refusal } from "./errors.js";
import { Follower } from "./follower.js";
import { Conversation } from "./fold.js";
import { newId } from "./ids.js";

const ANSWERING = new Set(["RUN_STARTED", "CUSTOM"]); // The events that can tell of answers.

export class OpenThread {
  #connection;
  #outbox;
  #options;
  #follower;
  #unborn; // The server may not know the thread before its first run is accepted.
  #left = false;
  #loaded = false;
  #newest = null; // The newest run, {id, status, old}, until a replay has got to where it stood then.
  #stopping = null;
  #inFlight = new Map(); // Message ids by the run that was sent for them.
  #queued = new Map(); // The commands that wait for their turn, by run.
  #refused = new Map(); // The commands that were not taken, by message id.
  #sought = new Set(); // The questions whose deciders were asked for.
  #seeking = false;

  conversation = new Conversation();
  /** Why the thread cannot be followed, or null: {reason, refusal}. */
  ended = null;
  /** Why the thread cannot be followed at the moment, or null: a Refusal. */
  delayed = null;

  /**
   * `isNew` says that this page has just made the id. Called back are `onChange()` whenever
   * something may look different, `onAnswered()` when a run was taken or refused, `onArrived()` when
   * a replay has got to where the newest run stood as it was asked for, `onRunEnded(status)`
   * when one has ended since the thread was opened, or has left a question, and `onProblem(refusal)`
   * when a command was refused that has no place in the conversation.
   * `interrupts(id)` asks the server for the thread's questions, [{id, by}].
   */
  constructor(id, { connection, outbox, isNew = false, ...options }) {
    this.id = id;
    this.#connection = connection;
    this.#outbox = outbox;
    this.#options = options;
    const kept = outbox.of(id);
    this.#unborn = isNew || kept.length > 0;
    this.#follower = new Follower(id, {
      ask: (command, answered) => connection.ask(command, answered),
      onReset: () => {
        this.conversation.reset();
        this.#sought.clear();
      },
      onEvent: (event) => this.#apply(event),
      onMoved: (followed) => this.#moved(followed),
      onDelayed: (refusal) => this.#delayed(refusal),
      onEnded: (reason, refusal) => this.#unfollowable(reason, refusal),
    });
    for (const command of kept) this.#show(command);
    for (const command of kept) this.#deliver(command);
    if (connection.state === "live") this.ready();
  }

  get position() {
    return this.#follower.position;
  }

  /** Whether it is known what the log has, or that there is none yet. */
  get loaded() {
    return this.#loaded || this.#unborn;
  }

  /**
   * "starting" from sending a question until its run has begun, then the run's status; "none" while
   * what has ended long ago is replayed.
   */
  get status() {
    const run = this.#ongoing;
    if (run) return this.#stopping === run.id ? "cancelling" : run.status;
    if (this.#starting) return "starting";
    return (this.#newest ? null : this.conversation.run)?.status ?? "none";
  }

  /** The run that goes on now, whether or not a replay has got to it; or null. */
  get #ongoing() {
    const { active, run } = this.conversation;
    if (this.#newest) return this.#newest.status === "running" ? this.#newest : null;
    return active ? run : null;
  }

  get #starting() {
    const pending = (id) => this.conversation.item(`user:${id}`)?.delivery === "pending";
    return [...this.#inFlight.values()].some(pending);
  }

  // --- what the connection tells ---

  /** The connection is live. */
  ready() {
    if (!this.#unborn && this.ended === null) this.#follower.follow();
  }

  /** The connection is gone. */
  lost() {
    this.#follower.lost();
  }

  take(frame) {
    this.#follower.take(frame);
  }

  /** The thread was "deleted", or the user may see it no more: "denied". */
  gone(why) {
    this.#outbox.forget(this.id);
    this.#follower.end();
    this.#end(why);
  }

  /** Leave the thread: nothing more is wanted of it. */
  leave() {
    this.#left = true;
    this.#follower.end();
    if (this.#connection.state === "live" && !this.#unborn) {
      this.#connection.ask({ type: "unfollow", thread: this.id }, () => {});
    }
  }

  // --- what a person can do ---

  /** Ask `text`, of `agent` or else of the server's first. Return the id of the message. */
  send(text, agent = null) {
    const message = { id: newId(), role: "user", content: text };
    const command = {
      type: "run",
      thread: this.id,
      ...(agent && { agent }),
      input: {
        threadId: this.id,
        runId: newId(),
        state: {},
        messages: [message],
        tools: [],
        context: [],
        forwardedProps: {},
      },
    };
    this.#show(command);
    this.#deliver(command);
    return message.id;
  }

  /** Ask once more what was asked last, of `agent` or else of the server's first. */
  sendAgain(agent = null) {
    const { items } = this.conversation;
    if (items.at(-1).kind !== "ending") return; // The button was pressed twice.
    this.send(items.findLast(({ kind }) => kind === "user").text, agent);
  }

  /** Send a message again that was not taken: the same run, so that it cannot run twice. */
  resend(messageId) {
    const command = this.#refused.get(messageId);
    if (!command) return;
    this.conversation.setProblem(messageId, null);
    this.#deliver(command);
  }

  /** Take back a message that was not taken; return its text. */
  takeBack(messageId) {
    const text = this.conversation.item(`user:${messageId}`)?.text ?? "";
    this.#refused.delete(messageId);
    this.conversation.removePending(messageId);
    this.#options.onChange();
    return text;
  }

  /**
   * Cancel what waits for its turn: it is stopped when that comes. Return whether it will be, or
   * has been.
   */
  async callOff(messageId) {
    const waiting = [...this.#queued.values()].find(({ input }) => input.messages[0].id === messageId);
    if (!waiting || !(await this.#ask({ type: "cancel", run: waiting.input.runId }))) return false;
    this.#outbox.remove(waiting); // A reload would show it waiting.
    this.#queued.delete(waiting.input.runId);
    this.conversation.callOff(messageId);
    this.#options.onChange();
    return true;
  }

  /** End the run that is active. */
  async stop() {
    const run = this.#ongoing;
    if (run === null || this.#stopping === run.id) return;
    this.#stopping = run.id;
    this.#options.onChange();
    if (await this.#ask({ type: "cancel", thread: this.id, run: run.id })) this.conversation.cancelling(run.id);
    this.#stopping = null;
    this.#options.onChange();
  }

  /**
   * Answer a question of the agent; return whether it is decided now, by whomever, or the Refusal
   * of an answer that is not what was asked for.
   */
  async decide(interrupt, payload, status = "resolved") {
    const command = { type: "decide", thread: this.id, interrupt, payload, status };
    const decided = await this.#ask(command, "bad_answer");
    if (!decided || decided instanceof Refusal) return decided ?? false;
    const { by, won } = decided;
    this.conversation.answered(interrupt, {
      status: decided.status,
      payload: decided.payload,
      by,
      won,
    });
    this.#options.onChange();
    return true;
  }

  #show(command) {
    const [message] = command.input.messages;
    this.conversation.addPending(message.id, message.content);
  }

  async #deliver(command) {
    const [message] = command.input.messages;
    this.#inFlight.set(command.input.runId, message.id);
    this.#options.onChange();
    try {
      const { queued = false } = await this.#outbox.deliver(command, this.#connection);
      if (queued) this.#queued.set(command.input.runId, command);
      if (queued) this.conversation.queue(message.id);
      this.#unborn = false;
    } catch (refusal) {
      this.#refused.set(message.id, command);
      this.conversation.setProblem(message.id, refusal);
    }
    this.#options.onAnswered();
    this.#followIfNotYet();
    this.#options.onChange();
  }

  /** What has waited for its turn waits no more. */
  #begun(runId) {
    const command = this.#queued.get(runId);
    if (!command) return;
    this.#outbox.remove(command);
    this.#queued.delete(runId);
    // Whose right to write was withdrawn meanwhile has said nothing, as the log has it.
    this.conversation.setProblem(command.input.messages[0].id, new Refusal({ code: "forbidden" }));
  }

  #followIfNotYet() {
    const possible = !this.#left && this.#connection.state === "live";
    if (possible && this.#follower.state !== "following") this.#follower.follow();
  }

  /**
   * Send a command; return its answer, or null after telling why there is none. A refusal with the
   * code `expected` is returned.
   */
  async #ask(command, expected = null) {
    try {
      return await this.#connection.request(command);
    } catch (refusal) {
      if (refusal.code === expected) return refusal;
      this.#options.onProblem(refusal);
      return null;
    }
  }

  #apply(event) {
    const before = this.conversation.active;
    this.conversation.apply(event);
    if (event.type === "RUN_STARTED") this.#begun(event.runId);
    if (ANSWERING.has(event.type)) this.#seekDeciders();
    const { active, run } = this.conversation;
    if (before && !active && this.#isNews(run)) this.#options.onRunEnded(run.status);
    this.#arrive();
  }

  /** Whether the run has not ended before the thread was opened; one that asks is news still. */
  #isNews({ id, status }) {
    const before = !this.#loaded || this.#newest?.old;
    const isNewest = this.#newest === null || this.#newest.id === id; // In a prelude only the newest one ends.
    return !before || (isNewest && status === "awaiting") || this.#inFlight.has(id);
  }

  /** Notice when a replay has got to where the newest run stood as it was asked for. */
  #arrive() {
    const { active, run } = this.conversation;
    if (this.#newest === null || run?.id !== this.#newest.id) return;
    if (active && this.#newest.status !== "running") return;
    this.#newest = null;
    this.#options.onArrived();
  }

  /** The log has answers without names: ask who gave them, once for what there is. */
  async #seekDeciders() {
    const nameless = this.conversation.items.filter(({ kind, interrupt, answer }) => {
      return kind === "question" && answer && !answer.by && !this.#sought.has(interrupt.id);
    });
    if (nameless.length === 0 || this.#seeking) return;
    this.#seeking = true;
    for (const { interrupt } of nameless) this.#sought.add(interrupt.id);
    const asked = await this.#options.interrupts(this.id).catch(() => []); // Then it is told without.
    this.#seeking = false;
    for (const { id, by } of asked) {
      if (by && this.#sought.has(id)) this.conversation.answered(id, { by });
    }
    this.#options.onChange();
    this.#seekDeciders();
  }

  #moved(followed) {
    if (followed && followed.resume !== "replay") this.conversation.settle(followed.run);
    if (followed) {
      this.#unborn = false;
      const { resume, run } = followed;
      this.#newest = resume === "replay" && run ? { ...run, old: !this.#loaded } : null;
      this.#arrive();
    }
    this.#loaded = true;
    this.ended = null;
    this.delayed = null;
    this.#options.onChange();
  }

  #delayed(refusal) {
    this.delayed = refusal;
    this.#options.onChange();
  }

  #unfollowable(reason, refusal) {
    const unsent = this.conversation.items.some((item) => item.delivery && item.delivery !== "sent");
    this.#unborn ||= unsent;
    // What was not taken may be taken back before this is known.
    if (reason !== "unknown" || !this.#unborn) this.#end(reason, refusal);
    this.#options.onChange();
  }

  #end(reason, refusal = null) {
    this.ended = { reason, refusal };
    this.#newest = null;
    const { run } = this.conversation;
    if (run) this.conversation.settle({ id: run.id, status: "none" }); // Nobody tells us of its end.
    this.#options.onChange();
  }
}
