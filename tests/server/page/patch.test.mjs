import assert from "node:assert/strict";
import { test } from "node:test";

import { patched } from "../../../src/netra_backend/server/page/patch.js";

const APPLIES = [
  [{ a: 1 }, [{ op: "add", path: "/b", value: 2 }], { a: 1, b: 2 }],
  [{ a: [1, 3] }, [{ op: "add", path: "/a/1", value: 2 }], { a: [1, 2, 3] }],
  [{ a: [] }, [{ op: "add", path: "/a/-", value: 1 }], { a: [1] }],
  [{ a: 1 }, [{ op: "replace", path: "/a", value: null }], { a: null }],
  [{ a: [1, 2] }, [{ op: "remove", path: "/a/0" }], { a: [2] }],
  [{ a: 1 }, [{ op: "move", from: "/a", path: "/b" }], { b: 1 }],
  [{ a: { b: [1] } }, [{ op: "copy", from: "/a/b", path: "/c" }], { a: { b: [1] }, c: [1] }],
  [{ a: { b: [1] } }, [{ op: "test", path: "/a", value: { b: [1] } }], { a: { b: [1] } }],
  [{ "a/b": { "m~n": 1 } }, [{ op: "replace", path: "/a~1b/m~0n", value: 2 }], { "a/b": { "m~n": 2 } }],
  [{ "": 1 }, [{ op: "replace", path: "/", value: 2 }], { "": 2 }],
  [1, [{ op: "replace", path: "", value: { k: 1 } }], { k: 1 }],
  [{ a: 1 }, [], { a: 1 }],
];

const DOES_NOT_APPLY = [
  [{ op: "remove", path: "/b" }],
  [{ op: "replace", path: "/b", value: 1 }],
  [{ op: "add", path: "/b/c", value: 1 }],
  [{ op: "add", path: "/l/9", value: 1 }],
  [{ op: "add", path: "/l/01", value: 1 }],
  [{ op: "add", path: "/a/x", value: 1 }],
  [{ op: "test", path: "/a", value: 2 }],
  [{ op: "test", path: "/l", value: {} }],
  [{ op: "move", from: "/no", path: "/a" }],
  [{ op: "add", path: "b", value: 1 }],
  [{ op: "add", path: "/__proto__/polluted", value: 1 }],
  [{ op: "nonsense", path: "/a" }],
  [{ op: "add" }],
  [null],
];

test("operations apply in order", () => {
  for (const [document, operations, expected] of APPLIES) {
    const before = structuredClone(document);
    assert.deepEqual(patched(document, operations), expected);
    assert.deepEqual(document, before, "the document given is not changed");
  }
});

test("a patch that does not apply changes nothing, not even its part that would", () => {
  for (const operations of DOES_NOT_APPLY) {
    const document = { a: 1, l: [] };
    const both = [{ op: "add", path: "/first", value: 1 }, ...operations];
    assert.deepEqual(patched(document, both), { a: 1, l: [] }, JSON.stringify(operations));
  }
  assert.equal({}.polluted, undefined);
});

test("a key called __proto__ is a key like others", () => {
  const result = patched({}, [{ op: "add", path: "/__proto__", value: { x: 1 } }]);
  assert.deepEqual(Object.keys(result), ["__proto__"]);
  assert.equal(result.x, undefined);
});
