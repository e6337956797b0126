// Errors: what each code means for the person in the chat. The same codes and the same "may
// retry" as in netra_backend/errors.py; a test compares the two.

export const NEVER = "never";
export const AT_ONCE = "at once";
export const LATER = "later";
export const AFTER_LOGIN = "after login";

/** The codes of `error` frames and of HTTP error bodies. */
export const ERRORS = {
  bad_frame: { retry: NEVER, text: "The server could not read what this page sent. Reload the page." },
  bad_input: { retry: NEVER, text: "The server did not accept this." },
  bad_request: { retry: NEVER, text: "The server could not read the request." },
  bad_answer: { retry: NEVER, text: "This is not what was asked for." },
  unauthenticated: { retry: AFTER_LOGIN, text: "You are not signed in, or your sign-in has expired." },
  forbidden: { retry: NEVER, text: "You may not do this." },
  upgrade_required: { retry: NEVER, text: "The server expects a WebSocket here." },
  bad_method: { retry: NEVER, text: "The server does not do this with what was asked for." },
  not_found: { retry: NEVER, text: "This does not exist, or it is not yours to see." },
  unknown_agent: { retry: NEVER, text: "The server has no agent of this name. Pick another one." },
  thread_busy: { retry: LATER, text: "The agent is still busy in this conversation. Wait for it, or stop it." },
  run_conflict: { retry: NEVER, text: "This was already sent to another conversation." },
  already_decided: { retry: NEVER, text: "This was already answered." },
  expired: { retry: NEVER, text: "The time to answer this is over." },
  changed: { retry: NEVER, text: "What this asks about has changed since. Reload the page." },
  too_many: { retry: LATER, text: "Too much at once. Wait a moment and try again." },
  too_fast: { retry: LATER, text: "This page asks too much too quickly. Wait a moment and try again." },
  too_big: { retry: NEVER, text: "This is too long for the server. Make it shorter." },
  head_too_big: { retry: NEVER, text: "What the browser sent with this is too long for the server." },
  unknown_coding: { retry: NEVER, text: "The server cannot read how this was sent." },
  draining: { retry: LATER, text: "The server is about to stop. This is sent when it is back." },
  overloaded: { retry: LATER, text: "The server has no room at the moment. Try again soon." },
  store_failed: { retry: LATER, text: "The server could not save or read this, so nothing was done. Try again." },
  internal: { retry: LATER, text: "Something went wrong in the server. Try again." },
};

/** What can go wrong before the server has said anything. */
export const LOCAL_ERRORS = {
  unreachable: { retry: LATER, text: "The server cannot be reached." },
};

/** The codes a socket is closed with; 1005 and 1006 are the browser's own, for no code at all. */
export const CLOSES = {
  1000: { retry: AT_ONCE, text: "The connection was closed." },
  1001: { retry: AT_ONCE, text: "The server is stopping." },
  1005: { retry: AT_ONCE, text: "The connection was closed." },
  1006: { retry: AT_ONCE, text: "The connection was lost." },
  1008: { retry: NEVER, text: "The server does not let this page in." },
  1009: { retry: NEVER, text: "What this page sent was too big for the server." },
  1011: { retry: LATER, text: "Something went wrong in the server." },
  1012: { retry: LATER, text: "The server stopped, or starts anew." },
  1013: { retry: LATER, text: "The server is full at the moment." },
  4400: { retry: NEVER, text: "The server could not read what this page sent. Reload the page." },
  4401: { retry: AFTER_LOGIN, text: "Your sign-in is missing or has expired." },
  4403: { retry: NEVER, text: "The token belongs to another user. Reload the page to sign in anew." },
  4408: { retry: AT_ONCE, text: "This page was too slow to keep up." },
  4409: { retry: NEVER, text: "You have opened another page. Reload this one to go on here." },
  4429: { retry: LATER, text: "You have too many pages open at once." },
};

const UNKNOWN_CLOSE = { retry: LATER, text: "The connection was closed." };

/** Return the row of CLOSES for `code`; a code of no meaning to us may be retried later. */
export function closeRow(code) {
  return CLOSES[code] ?? UNKNOWN_CLOSE;
}

/** How a run ended otherwise than well: by its status. */
export const ENDS = {
  cancelled: { title: "Stopped", text: "This answer was stopped." },
  interrupted: {
    title: "Interrupted",
    text: "The server was stopped while the agent was working. What came before is kept; ask again to go on.",
  },
  timed_out: { title: "Timed out", text: "The agent took too long and was stopped." },
  failed: { title: "Failed", text: "The agent could not finish." },
};

/** A command or an HTTP request was not carried out. */
export class Refusal extends Error {
  /**
   * `message` is the server's own sentence, `where` the path of what was wrong in what was sent,
   * `correlation` the id its log knows this under.
   */
  constructor({ code, message = "", where = null, correlation = null, retry = undefined }) {
    super(message || code);
    this.name = "Refusal";
    this.code = code;
    this.detail = message;
    this.where = where;
    this.correlation = correlation;
    this.retry = typeof retry === "boolean" ? retry : rowOf(code).retry !== NEVER;
  }

  /**
   * What to tell the person: our sentence, the server's where it says more, and for a fault of
   * the server the reference under which its log tells the cause.
   */
  get text() {
    const row = rowOf(this.code);
    const detail = DETAILED.has(this.code) && this.detail ? ` (${this.detail})` : "";
    const reference = this.correlation && SERVER_FAULTS.has(this.code) ? ` Reference: ${this.correlation}` : "";
    return row.text + detail + reference;
  }
}

const DETAILED = new Set(["bad_frame", "bad_input", "bad_answer", "too_many", "too_big", "forbidden"]);
const SERVER_FAULTS = new Set(["store_failed", "internal"]);
const UNKNOWN_ERROR = { retry: LATER, text: "The server refused this." };

function rowOf(code) {
  return ERRORS[code] ?? LOCAL_ERRORS[code] ?? UNKNOWN_ERROR;
}
