import assert from "node:assert/strict";
import { test } from "node:test";

import { problemOf } from "../../../src/netra_backend/server/page/members.js";
import { Roles, allowed, barredFrom, ownerOf } from "../../../src/netra_backend/server/page/roles.js";
import { settled } from "./scripted.mjs";

test("each role may what those before it may", () => {
  assert.deepEqual(allowed("read"), ["read"]);
  assert.deepEqual(allowed("decide"), ["read", "write", "decide"]);
  assert.deepEqual(allowed("owner"), ["read", "write", "decide", "owner"]);
  assert.deepEqual(allowed(null), []);
});

test("a thread is somebody else's when its name has an owner", () => {
  assert.equal(ownerOf("t"), null);
  assert.equal(ownerOf("alice,t"), "alice");
});

test("only who is known to have no right to write is told so", () => {
  assert.equal(barredFrom("alice,t", null), "");
  assert.equal(barredFrom("alice,t", "write"), "");
  assert.match(barredFrom("alice,t", "read"), /not write in it\. Its owner, alice,/);
});

test("of somebody else's thread nothing is believed before the server has said it", async () => {
  let answer;
  const asked = [];
  const api = { thread: (id) => (asked.push(id), new Promise((resolve) => (answer = resolve))) };
  let learned = 0;
  const roles = new Roles(api, () => learned++);
  assert.equal(roles.of("t"), "owner");
  assert.equal(roles.of("alice,t"), null);
  roles.learn("t");
  const learning = roles.learn("alice,t");
  roles.learn("alice,t");
  assert.deepEqual(asked, ["alice,t"]);
  answer({ role: "write" });
  await learning;
  assert.equal(roles.of("alice,t"), "write");
  assert.equal(learned, 1);
  roles.take([{ id: "alice,t", role: "read" }]);
  assert.equal(roles.of("alice,t"), "read");
});

test("what the server fails to tell is asked for again, each time later", async () => {
  let answer = () => Promise.reject(new Error("429"));
  let asked = 0;
  const api = { thread: () => (asked++, answer()) };
  const waits = [];
  const wait = (ms) => new Promise((resolve) => waits.push({ ms, resolve }));
  const roles = new Roles(api, draw, wait);
  function draw() {
    if (roles.of("alice,t") === null) roles.learn("alice,t"); // As the page does.
  }
  for (let failures = 1; failures <= 8; failures++) {
    for (let draws = 0; draws < 60; draws++) {
      draw();
      await null;
    }
    assert.deepEqual([asked, waits.length], [failures, failures], "one request, however often it is drawn");
    if (failures < 8) waits.at(-1).resolve();
    await settled();
  }
  assert.ok(waits[0].ms >= 200 && waits[0].ms <= 400, `${waits[0].ms}`);
  assert.ok(waits[7].ms >= 7_500 && waits[7].ms <= 15_000, `${waits[7].ms}`);
  answer = async () => ({ role: "read" });
  waits[7].resolve();
  await settled();
  assert.deepEqual([asked, roles.of("alice,t")], [9, "read"]);
});

test("each refusal of an invitation is told in a sentence that names who", () => {
  const refusal = (code, detail = "") => ({ code, detail, text: "Something else." });
  assert.equal(problemOf(refusal("bad_input", "why"), "a b"), "“a b” cannot be invited: why.");
  assert.match(problemOf(refusal("not_found"), "bob"), /^“bob” is no member any more/);
  assert.match(problemOf(refusal("not_found"), ""), /conversation is gone/);
  assert.match(problemOf(refusal("forbidden"), "bob"), /Only the owner/);
  assert.match(problemOf(refusal("too_many", "9 already"), "bob"), /9 already/);
  assert.equal(problemOf(refusal("internal"), "bob"), "Something else.");
});
