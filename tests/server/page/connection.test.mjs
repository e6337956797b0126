import assert from "node:assert/strict";
import { test } from "node:test";

import { STATES } from "../../../src/netra_backend/server/page/connection.js";
import { READY, scripted, settled } from "./scripted.mjs";

const LAST = (list) => list.at(-1);

test("it is live once the server has said so", () => {
  const page = scripted();
  page.connection.start();
  assert.equal(page.connection.state, "connecting");
  assert.deepEqual(page.socket.protocols, ["netra.v1"]);
  page.socket.says(READY);
  assert.deepEqual(page.seen.states, ["connecting", "live"]);
  assert.equal(page.seen.ready[0].user, "ann");
});

test("a command gets its own answer, and each a request of its own", async () => {
  const page = scripted();
  page.live();
  const one = page.connection.request({ type: "cancel", run: "r1" });
  const two = page.connection.request({ type: "cancel", run: "r2" });
  const [first, second] = page.socket.sent;
  assert.notEqual(first.request, second.request);
  page.socket.says({ type: "error", request: second.request, code: "not_found", message: "no run", retry: false, correlation: "k1" });
  page.socket.says({ type: "cancelled", request: first.request, run: "r1", id: "1-4" });
  assert.equal((await one).id, "1-4");
  const refusal = await two.catch((error) => error);
  assert.deepEqual([refusal.name, refusal.code, refusal.correlation, refusal.retry], ["Refusal", "not_found", "k1", false]);
});

test("an answer to nothing is ignored", () => {
  const page = scripted();
  page.live();
  page.socket.says({ type: "pong" }, { type: "cancelled", request: "r99", run: "x", id: "1-1" }, { type: "later_invention" });
  assert.equal(page.connection.state, "live");
});

test("events, deletions and errors without a request go to who listens", () => {
  const page = scripted();
  page.live();
  page.socket.says(
    { id: "1-1", thread: "t", chunk: { type: "CUSTOM" } },
    { type: "unfollowed", thread: "t" },
    { type: "error", code: "bad_frame", message: "no", retry: false },
  );
  assert.equal(page.seen.events[0].id, "1-1");
  assert.deepEqual(page.seen.unfollowed, ["t"]);
  assert.equal(page.seen.refusals[0].code, "bad_frame");
});

test("a durable command is sent again on the next connection until it is answered", async () => {
  const page = scripted();
  page.live();
  const run = page.connection.request({ type: "run", thread: "t" });
  const follow = [];
  page.connection.ask({ type: "follow", thread: "t" }, (frame) => follow.push(frame));
  const [sent] = page.socket.sent;
  page.socket.ends(1006);
  page.clock.turn(1_000);
  assert.equal(page.sockets.length, 2);
  page.socket.says(READY);
  assert.deepEqual(page.socket.sent, [sent], "the same request, and not the follow");
  page.socket.says({ type: "accepted", request: sent.request, thread: "t", run: "r", id: "1-1" });
  assert.equal((await run).run, "r");
  page.socket.ends(1006);
  page.clock.turn(1_000);
  page.socket.says(READY);
  assert.deepEqual(page.socket.sent, [], "what was answered is not sent again");
  assert.deepEqual(follow, []);
});

test("a command given while there is no connection is sent when there is one", async () => {
  const page = scripted();
  const run = page.connection.request({ type: "run", thread: "t" });
  page.live();
  assert.equal(page.socket.sent.length, 1);
  page.socket.says({ type: "accepted", request: page.socket.sent[0].request, thread: "t", run: "r", id: "1-1" });
  assert.equal((await run).run, "r");
});

test("what one user wanted is never sent as another", () => {
  const page = scripted();
  page.live();
  page.connection.request({ type: "run", thread: "t" });
  page.socket.ends(1006);
  page.clock.turn(1_000);
  page.socket.says({ ...READY, user: "bob" });
  assert.deepEqual(page.socket.sent, []);
});

test("a command over the server's limit is refused here: there it would close the socket", async () => {
  const page = scripted();
  page.live();
  const refusal = await page.connection.request({ type: "run", input: "é".repeat(600) }).catch((error) => error);
  assert.equal(refusal.code, "too_big");
  assert.match(refusal.text, /1000 bytes/);
  assert.deepEqual(page.socket.sent, []);
});

test("half of a surrogate pair, which no server takes, is not sent", () => {
  const page = scripted();
  page.live();
  page.connection.request({ type: "run", input: { messages: [{ content: "a \ud83d, \udc00\ud83d, \u{1f600}" }] } });
  assert.equal(page.socket.sent[0].input.messages[0].content, "a \ufffd, \ufffd\ufffd, \u{1f600}");
});

test("attempts come ever more rarely, and a steady connection starts anew", () => {
  const page = scripted();
  page.live();
  page.clock.turn(6_000);
  page.socket.ends(1006);
  const waits = [];
  for (let attempt = 0; attempt < 8; attempt += 1) {
    assert.equal(page.connection.state, "waiting");
    const wait = page.seen.details.until - page.clock.time;
    waits.push(wait);
    page.clock.turn(wait - 1);
    const opened = page.sockets.length;
    page.clock.turn(1);
    assert.equal(page.sockets.length, opened + 1);
    page.socket.ends(4408);
  }
  assert.deepEqual(waits, [200, 400, 800, 1_600, 3_200, 6_400, 7_500, 7_500]);
  page.clock.turn(8_000);
  page.socket.says(READY);
  page.clock.turn(6_000);
  page.socket.ends(1006);
  assert.equal(page.seen.details.until - page.clock.time, 200);
});

test("a connection that dies young does not start the backoff anew", () => {
  const page = scripted();
  page.live();
  const waits = [];
  for (let round = 0; round < 4; round += 1) {
    page.socket.ends(1011);
    waits.push(page.seen.details.until - page.clock.time);
    page.clock.turn(LAST(waits));
    page.socket.says(READY);
  }
  assert.deepEqual(waits, [1_000, 1_000, 1_000, 1_600], "and `later` is at least a second");
});

test("a restart is told, and the time that the server asked for is kept", () => {
  const page = scripted();
  page.live();
  page.socket.says({ type: "draining", retry_after_ms: 5_000 });
  assert.equal(page.connection.state, "live", "it still answers");
  page.socket.ends(1012);
  assert.equal(page.connection.state, "restarting");
  page.clock.turn(4_999);
  assert.equal(page.sockets.length, 1);
  page.clock.turn(1);
  assert.equal(page.sockets.length, 2);
});

test("a run that a draining server does not take is sent to the one after it", async () => {
  const page = scripted();
  page.live();
  const run = page.connection.request({ type: "run", thread: "t" });
  const [sent] = page.socket.sent;
  page.socket.says({ type: "error", request: sent.request, code: "draining", message: "", retry: true });
  page.socket.ends(1012);
  page.clock.turn(2_000);
  page.socket.says(READY);
  assert.deepEqual(page.socket.sent, [sent]);
  page.socket.says({ type: "accepted", request: sent.request, thread: "t", run: "r", id: "1-1" });
  assert.equal((await run).run, "r");
});

test("what a close code means is done: later, at once, never, after login", () => {
  const expected = {
    1000: "waiting", 1001: "waiting", 1006: "waiting", 1008: "refused", 1009: "refused", 1011: "waiting",
    1012: "restarting", 1013: "waiting", 4400: "refused", 4401: "signed-out", 4403: "refused", 4408: "waiting", 4409: "refused",
    4429: "waiting", 4999: "waiting",
  };
  for (const [code, state] of Object.entries(expected)) {
    const page = scripted();
    page.live();
    page.socket.ends(Number(code));
    assert.equal(page.connection.state, state, code);
    assert.equal(page.clock.pending > 0, !["refused", "signed-out"].includes(state), code);
    page.connection.start();
    page.socket.says(READY);
    assert.equal(page.connection.state, "live", "and a person can try again");
  }
});

test("a handshake that failed is explained over HTTP", async () => {
  const meanings = { "signed out": "signed-out", shut: "refused", in: "waiting", unreachable: "waiting" };
  for (const [standing, state] of Object.entries(meanings)) {
    const page = scripted({ standing: async () => standing });
    page.connection.start();
    page.socket.ends(1006);
    await settled();
    assert.equal(page.connection.state, state, standing);
  }
});

test("without a network it says so", async () => {
  const page = scripted({ online: () => false });
  page.live();
  page.socket.ends(1006);
  assert.equal(page.connection.state, "offline");
  page.connection.hurry();
  assert.equal(page.connection.state, "connecting");
});

test("silence is doubted after a heartbeat, and a dead socket is given up", () => {
  const page = scripted();
  page.live();
  page.clock.turn(19_999);
  assert.deepEqual(page.socket.sent, []);
  page.clock.turn(1);
  assert.deepEqual(page.socket.sent, [{ type: "ping" }]);
  page.clock.turn(3_999);
  assert.equal(page.connection.state, "live");
  const [dead] = page.sockets;
  page.clock.turn(1);
  assert.equal(page.connection.state, "waiting");
  assert.equal(dead.closed, true);
});

test("any frame is a sign of life", () => {
  const page = scripted();
  page.live();
  for (let minute = 0; minute < 5; minute += 1) {
    page.clock.turn(15_000);
    page.socket.says({ id: "1-1", thread: "t", chunk: {} });
  }
  assert.deepEqual(page.socket.sent, []);
  page.connection.doubt();
  page.connection.doubt();
  assert.deepEqual(page.socket.sent, [{ type: "ping" }], "one doubt at a time");
  page.socket.says({ type: "pong" });
  page.clock.turn(10_000);
  assert.equal(page.connection.state, "live");
});

test("a server that never says ready is given up", () => {
  const page = scripted();
  page.connection.start();
  page.clock.turn(10_000);
  assert.equal(page.connection.state, "waiting");
  assert.equal(page.socket.closed, true);
});

test("a socket that was let go has no say any more", () => {
  const page = scripted();
  page.live();
  const [old] = page.sockets;
  page.connection.start();
  old.says({ id: "1-1", thread: "t", chunk: {} });
  old.ends(4401);
  assert.deepEqual(page.seen.events, []);
  assert.equal(page.connection.state, "connecting");
});

test("what is no frame ends the connection, not the page", () => {
  for (const data of ["{", "null", "7", '"x"']) {
    const page = scripted();
    page.live();
    page.socket.says(data);
    assert.equal(page.connection.state, "waiting", data);
  }
});

test("every state that it takes is one of its states", () => {
  const page = scripted({ online: () => false });
  page.live();
  for (const code of [1006, 1012, 4401, 1008]) {
    page.socket.ends(code);
    page.connection.start();
    page.socket.says(READY);
  }
  for (const state of page.seen.states) assert.ok(STATES.includes(state), state);
  assert.equal(new Set(page.seen.states).size, 6);
});
