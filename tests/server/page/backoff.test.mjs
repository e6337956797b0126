import assert from "node:assert/strict";
import { test } from "node:test";

import { FIRST_MS, LONGEST_MS, backoff } from "../../../src/netra_backend/server/page/backoff.js";

test("the bound doubles up to the longest wait", () => {
  assert.equal(backoff(0, 1), FIRST_MS);
  assert.equal(backoff(1, 1), FIRST_MS * 2);
  assert.equal(backoff(3, 1), FIRST_MS * 8);
  assert.equal(backoff(30, 1), LONGEST_MS);
  assert.equal(backoff(1e9, 1), LONGEST_MS);
});

test("the wait is spread over the upper half", () => {
  assert.equal(backoff(2, 0), (FIRST_MS * 4) / 2);
  assert.equal(backoff(2, 0.5), (FIRST_MS * 4) * 0.75);
});

test("what the server asked for is kept, and spread too", () => {
  assert.equal(backoff(0, 0, 3_000), 3_000);
  assert.equal(backoff(0, 1, 3_000), 3_000 + FIRST_MS);
  assert.equal(backoff(20, 1, 3_000), LONGEST_MS);
});
