// The fold: what a thread's AG-UI events add up to, as the list of items that the page shows.
//
// No DOM, no clock, no network. The same rules as netra_backend/core/fold.py, and the same law:
// a replay with merged deltas, or a prelude and what follows it, gives the same items as every
// single event. Unknown event types change nothing.
// What the items are: see items.js.

import { endingItem, isUnsent, memberOf, questionItem, survives, textItem, textOf, toolItem } from "./items.js";
import { patched } from "./patch.js";

const PROGRESS = "netra.progress"; // The CUSTOM event in which a run says how far it is.
const MARKS = "netra.runs"; // The CUSTOM event in which a prelude tells what earlier runs left.
const ACTIVE = new Set(["running", "cancelling"]);
const BADLY_ENDED = new Set(["cancelled", "failed", "timed_out", "interrupted"]);
const STATUS_OF_CODE = { interrupted: "interrupted", timeout: "timed_out" };
const KIND_OF_ROLE = {
  user: "user",
  assistant: "answer",
  reasoning: "thinking",
  system: "note",
  developer: "note",
};

export class Conversation {
  #byKey = new Map();
  #lastOf = new Map(); // By message of the newest snapshot: the last item up to it.
  #versions = 0;
  #rules = {
    RUN_STARTED: (event) => this.#runStarted(event),
    RUN_FINISHED: (event) => this.#runFinished(event),
    RUN_ERROR: (event) => this.#runError(event),
    STEP_STARTED: (event) => this.#stepStarted(event),
    STEP_FINISHED: (event) => this.#stepFinished(event),
    TEXT_MESSAGE_START: (event) => this.#start(KIND_OF_ROLE[event.role ?? "assistant"], event),
    TEXT_MESSAGE_CONTENT: (event) => this.#content(["answer", "user", "note"], event),
    TEXT_MESSAGE_END: (event) => this.#end(["answer", "user", "note"], event),
    REASONING_MESSAGE_START: (event) => this.#start("thinking", event),
    REASONING_MESSAGE_CONTENT: (event) => this.#content(["thinking"], event),
    REASONING_MESSAGE_END: (event) => this.#end(["thinking"], event),
    TOOL_CALL_START: (event) => this.#toolStart(event),
    TOOL_CALL_ARGS: (event) => this.#toolArgs(event),
    TOOL_CALL_END: (event) => this.#toolEnd(event),
    TOOL_CALL_RESULT: (event) => this.#toolResult(event),
    MESSAGES_SNAPSHOT: (event) => this.#messagesSnapshot(event),
    ACTIVITY_SNAPSHOT: (event) => this.#activitySnapshot(event),
    ACTIVITY_DELTA: (event) => this.#activityDelta(event),
    CUSTOM: (event) => this.#custom(event),
  };

  /** The items in the order in which they are shown. */
  items = [];
  /** The newest run as {id, status}, or null. */
  run = null;
  /** The names of the steps that are open, the newest last. */
  steps = [];
  /** How far the run says it is, {text, done, total}, until a step begins or ends; or null. */
  progress = null;

  /** Whether an agent is working in the thread. */
  get active() {
    return this.run !== null && ACTIVE.has(this.run.status);
  }

  item(key) {
    return this.#byKey.get(key);
  }

  /** Take the next event of the log. */
  apply(event) {
    const rule = Object.hasOwn(this.#rules, event?.type) ? this.#rules[event.type] : null;
    if (rule) rule(event);
  }

  /** Forget everything that came from the log; what was not delivered yet stays. */
  reset() {
    const kept = this.items.filter(isUnsent);
    this.items = kept;
    this.#byKey = new Map(kept.map((item) => [item.key, item]));
    this.run = null;
    this.steps = [];
    this.progress = null;
  }

  /**
   * Take the run status that came with an up-to-date `followed` frame: it knows of a cancel that
   * is under way, and of an end whose event is not in the prelude.
   */
  settle(run) {
    if (!run) return;
    const known = this.run !== null && this.run.id === run.id;
    if (known && !this.active) return;
    this.run = { id: run.id, status: run.status };
    if (BADLY_ENDED.has(run.status)) this.#add(endingItem(run.id, run.status));
    if (!this.active) this.#sweep();
  }

  /** Note that a cancel was acknowledged. */
  cancelling(runId) {
    if (this.run?.id === runId && this.active) this.run = { id: runId, status: "cancelling" };
  }

  // --- what the person said and the log does not have yet ---

  /** Show a message of the user at once; RUN_STARTED confirms it by its id. */
  addPending(id, text) {
    this.#add({ key: `user:${id}`, kind: "user", id, text, by: null, delivery: "pending", problem: null });
  }

  /** Note that the server has taken a pending message, whose run waits for the thread. */
  queue(id) {
    const item = this.#byKey.get(`user:${id}`);
    if (item?.delivery === "pending") this.#change(item, { delivery: "queued" });
  }

  /** Note that a message which waits for its turn was cancelled before it. */
  callOff(id) {
    const item = this.#byKey.get(`user:${id}`);
    if (item?.delivery === "queued") this.#change(item, { delivery: "called-off" });
  }

  /** Mark a pending message as not delivered, with the reason; or, with null, as under way. */
  setProblem(id, problem) {
    const item = this.#byKey.get(`user:${id}`);
    if (!item || item.delivery === "sent") return;
    this.#change(item, { delivery: problem === null ? "pending" : "failed", problem });
  }

  /** Take back a message that was not delivered. */
  removePending(id) {
    const item = this.#byKey.get(`user:${id}`);
    if (!item || item.delivery === "sent") return;
    this.#byKey.delete(item.key);
    this.items = this.items.filter((other) => other !== item);
  }

  /** Note how a question was answered: {status, payload, by, won}. */
  answered(interruptId, answer) {
    const item = this.#byKey.get(`question:${interruptId}`);
    if (item) this.#change(item, { answer: { ...item.answer, ...answer } });
  }

  // --- one rule per event type ---

  #runStarted(event) {
    this.run = { id: event.runId, status: "running" };
    this.steps = [];
    this.progress = null;
    for (const message of event.input?.messages ?? []) this.#message(message);
    this.#resume(event.input?.resume ?? []);
  }

  #runFinished(event) {
    this.#finish(statusOf(event), event);
  }

  #runError(event) {
    this.#finish(statusOf(event), event);
  }

  #finish(status, event) {
    this.run = { id: this.run?.id ?? "", status };
    this.steps = [];
    this.progress = null;
    this.#leave(this.run.id, event);
    this.#sweep();
  }

  /** Add what the end of a run leaves: its questions, or the mark of a bad end; see #insert. */
  #leave(run, event, place = () => null) {
    const status = statusOf(event);
    const interrupts = status === "awaiting" ? (event.outcome.interrupts ?? []) : [];
    for (const interrupt of interrupts) this.#question(interrupt, place());
    if (BADLY_ENDED.has(status)) this.#add(endingItem(run, status, event), place());
  }

  /** Take the answers that a run goes on with. */
  #resume(entries) {
    for (const { interruptId, status, payload = null } of entries) {
      this.answered(interruptId, { status, payload });
      this.#resumeWaiting(interruptId);
    }
  }

  /** Take what a prelude tells of the runs whose messages it has brought: what each left, where. */
  #marks(marks) {
    for (const { run, resume = [], after = null, end = null } of marks) {
      this.#resume(resume);
      if (end) this.#leave(run, end, () => this.#placeAfter(after));
      if (run !== this.run?.id) this.#sweep();
    }
    if (this.active) this.#resumeTools();
  }

  /** Return where the next mark after the message belongs. */
  #placeAfter(messageId) {
    let at = this.items.indexOf(this.#lastOf.get(messageId)) + 1;
    while (isMark(this.items[at])) at += 1;
    return at;
  }

  /** Close what the ended run left: nothing streams any more, no tool works any more. */
  #sweep() {
    for (const item of this.items) {
      if (item.open) this.#change(item, { open: false });
      if (item.kind === "tool" && (item.status === "calling" || item.status === "running")) {
        this.#change(item, { status: "unanswered" });
      }
    }
  }

  #question(interrupt, at) {
    this.#add(questionItem(interrupt), at);
    const tool = this.#byKey.get(`tool:${interrupt.toolCallId}`);
    if (tool && tool.result === null) this.#change(tool, { status: "waiting" });
  }

  /** The tool call that a question was about is now in the hands of the run that goes on. */
  #resumeWaiting(interruptId) {
    const question = this.#byKey.get(`question:${interruptId}`);
    const tool = this.#byKey.get(`tool:${question?.interrupt.toolCallId}`);
    if (tool?.status === "waiting") this.#change(tool, { status: "running" });
  }

  #custom({ name, value }) {
    if (name === MARKS) this.#marks(value);
    if (name === PROGRESS) this.progress = value;
  }

  #stepStarted(event) {
    this.progress = null;
    this.steps.push(String(event.stepName));
  }

  #stepFinished(event) {
    this.progress = null;
    const at = this.steps.lastIndexOf(String(event.stepName));
    if (at >= 0) this.steps.splice(at, 1);
  }

  /** Begin a message; one that a prelude has brought already is continued. */
  #start(kind, event) {
    if (!kind) return;
    const item = this.#byKey.get(`${kind}:${event.messageId}`);
    if (item) this.#change(item, { open: true });
    else this.#add(textItem(kind, event.messageId, "", { open: true, role: event.role }));
  }

  #content(kinds, event) {
    const item = this.#first(kinds, event.messageId);
    if (item) this.#change(item, { text: item.text + String(event.delta ?? "") });
  }

  #end(kinds, event) {
    const item = this.#first(kinds, event.messageId);
    if (item) this.#change(item, { open: false });
  }

  #first(kinds, id) {
    const kind = kinds.find((kind) => this.#byKey.get(`${kind}:${id}`)?.open);
    return kind && this.#byKey.get(`${kind}:${id}`);
  }

  #toolStart(event) {
    const item = this.#byKey.get(`tool:${event.toolCallId}`);
    if (item) this.#change(item, { status: "calling" });
    else this.#add(toolItem(event.toolCallId, event.toolCallName, "", "calling"));
  }

  #toolArgs(event) {
    const item = this.#byKey.get(`tool:${event.toolCallId}`);
    if (item) this.#change(item, { args: item.args + String(event.delta ?? "") });
  }

  #toolEnd(event) {
    const item = this.#byKey.get(`tool:${event.toolCallId}`);
    if (item?.status === "calling") this.#change(item, { status: "running" });
  }

  #toolResult(event) {
    const key = `tool:${event.toolCallId}`;
    if (!this.#byKey.has(key)) this.#add(toolItem(event.toolCallId, "tool", "", "running"));
    const failed = typeof event.error === "string" && event.error !== "";
    const result = textOf(event.content) || (failed ? event.error : "");
    this.#change(this.#byKey.get(key), { result, failed, status: failed ? "failed" : "done" });
  }

  #activitySnapshot(event) {
    const key = `activity:${event.messageId}`;
    const item = this.#byKey.get(key);
    const about = { name: String(event.activityType), content: event.content };
    if (!item) this.#add({ key, kind: "activity", id: event.messageId, ...about });
    else if (event.replace !== false) this.#change(item, about);
  }

  #activityDelta(event) {
    const item = this.#byKey.get(`activity:${event.messageId}`);
    if (item) this.#change(item, { content: patched(item.content, event.patch ?? []) });
  }

  /** Add an AG-UI message that came whole. One that is there is kept, and is now delivered. */
  #message(message) {
    const { id, role } = message;
    if (role === "tool") return this.#toolResult(message);
    if (role === "activity") {
      return this.#activitySnapshot({ ...message, messageId: id, replace: true });
    }
    const kind = KIND_OF_ROLE[role];
    const text = textOf(message.content);
    const by = memberOf(message);
    const item = this.#byKey.get(`${kind}:${id}`);
    if (item?.kind === "user") this.#confirm(item, { text, by });
    else if (!item && kind && (text !== "" || !message.toolCalls)) {
      this.#add(textItem(kind, id, text, { open: false, role, by }));
    }
    for (const call of message.toolCalls ?? []) this.#toolCall(call);
  }

  /** The log has the message: it stands where the log has it. */
  #confirm(item, said) {
    const wasUnsent = isUnsent(item);
    this.#change(item, { ...said, delivery: "sent", problem: null });
    if (!wasUnsent) return;
    this.items.splice(this.items.indexOf(item), 1);
    this.#insert(item);
  }

  #toolCall(call) {
    if (this.#byKey.has(`tool:${call.id}`)) return;
    const { name = "tool", arguments: args = "" } = call.function ?? {};
    this.#add(toolItem(call.id, name, String(args), "unanswered"));
  }

  /**
   * Take a snapshot: its messages replace those of the same id in their places, new ones come
   * after them, others go. Activities and thinking stay if the snapshot has none, and so does
   * what is still being written: its next part must find it. What is unsent stays at the end.
   */
  #messagesSnapshot(event) {
    const before = this.items;
    this.items = [];
    this.#byKey = new Map();
    this.#lastOf = new Map();
    for (const message of event.messages ?? []) {
      this.#message(message);
      this.#lastOf.set(message.id, this.items.at(-1));
    }
    const given = this.items;
    const kinds = new Set(given.map((item) => item.kind));
    const kept = before.filter((old) => this.#byKey.has(old.key) || survives(old, kinds));
    const continued = kept.map((old) => this.#continued(old));
    const all = [...new Set([...continued, ...given])];
    this.items = [...all.filter((item) => !isUnsent(item)), ...all.filter(isUnsent)];
    if (this.active) this.#resumeTools();
  }

  /** Return as what an item from before a snapshot goes on: itself, or what the snapshot has. */
  #continued(old) {
    const item = this.#byKey.get(old.key) ?? old;
    this.#byKey.set(old.key, item);
    if (old.open) item.open = true;
    if (old.kind === "tool" && item.result === null) item.status = old.status;
    return item;
  }

  /** Calls without a result after what began the active run are its own. */
  #resumeTools() {
    const asked = this.items.findLastIndex((item) => item.kind === "user" || isMark(item));
    for (const item of this.items.slice(asked + 1)) {
      if (item.kind === "tool" && item.status === "unanswered") item.status = "running";
    }
  }

  /** Add an item, unless it is there. */
  #add(item, at = null) {
    if (this.#byKey.has(item.key)) return;
    item.version = ++this.#versions;
    this.#byKey.set(item.key, item);
    this.#insert(item, at);
  }

  /** Put an item at its place: the end, where what the log has comes before what it has not yet. */
  #insert(item, place = null) {
    let at = place ?? this.items.length;
    if (!isUnsent(item)) while (at > 0 && isUnsent(this.items[at - 1])) at -= 1;
    this.items.splice(at, 0, item);
  }

  #change(item, fields) {
    Object.assign(item, fields, { version: ++this.#versions });
  }
}

/** Return the status in which a terminal event leaves its run. */
function statusOf({ type, outcome, code }) {
  if (type === "RUN_ERROR") return STATUS_OF_CODE[code] ?? "failed";
  return { interrupt: "awaiting", cancelled: "cancelled" }[outcome?.type] ?? "finished";
}

/** Whether an item is what the end of a run has left. */
function isMark(item) {
  return item?.kind === "question" || item?.kind === "ending";
}
