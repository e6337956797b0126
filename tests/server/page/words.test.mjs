// The small modules that turn one thing into another.

import assert from "node:assert/strict";
import { test } from "node:test";

import { hashOf, threadOf } from "../../../src/netra_backend/server/page/address.js";
import { Refusal, closeRow } from "../../../src/netra_backend/server/page/errors.js";
import { fieldAt, formOf, labelOf } from "../../../src/netra_backend/server/page/form.js";
import { newId } from "../../../src/netra_backend/server/page/ids.js";
import { Outbox } from "../../../src/netra_backend/server/page/outbox.js";
import { pretty, preview } from "../../../src/netra_backend/server/page/pretty.js";
import { partDone, progressText } from "../../../src/netra_backend/server/page/progress.js";
import { payloadOf, verdictOf } from "../../../src/netra_backend/server/page/reply.js";
import { wordsFor } from "../../../src/netra_backend/server/page/status.js";
import { Kept } from "../../../src/netra_backend/server/page/storage.js";
import { tailCommand } from "../../../src/netra_backend/server/page/tail.js";
import { merged } from "../../../src/netra_backend/server/page/threads.js";
import { Token, base64url, isToken } from "../../../src/netra_backend/server/page/token.js";

test("the address names a thread, whatever its id", () => {
  for (const id of ["t1", "a|b=c~d:e@f+g-h_i.j", "…"]) assert.equal(threadOf(hashOf(id)), id);
  for (const hash of ["", "#", "#new", "#thread=", "#thread=%", "#other=1"]) assert.equal(threadOf(hash), null, hash);
  assert.equal(threadOf(hashOf(null)), null);
});

test("ids are what a server takes, and new", () => {
  const ids = Array.from({ length: 100 }, newId);
  for (const id of ids) assert.match(id, /^[0-9a-f]{24}$/);
  assert.equal(new Set(ids).size, 100);
});

test("the command that follows a thread is words of a shell, whatever the names", () => {
  const below = tailCommand("a,t", "ann", new URL("http://h:1/below/"), "/srv/netra-data");
  assert.equal(below, "netra tail 'a,t' --user ann --url http://h:1/below --data-dir /srv/netra-data");
  const odd = tailCommand("t", "it's $me", new URL("http://h/"), "~/my data");
  assert.equal(odd, String.raw`netra tail t --user 'it'\''s $me' --url http://h --data-dir '~/my data'`);
});

test("a token travels as base64url without padding", () => {
  const storage = { value: null, getItem: () => storage.value, setItem: (_, text) => (storage.value = text), removeItem: () => (storage.value = null) };
  const token = new Token(storage);
  assert.deepEqual([token.subprotocols, token.headers], [["netra.v1"], {}]);
  token.value = "a?>~é";
  assert.equal(Buffer.from(token.subprotocols[1].replace("netra.token.", ""), "base64url").toString(), "a?>~é");
  assert.doesNotMatch(base64url("a?>~é"), /[+/=]/);
  assert.deepEqual(["a.b-c_d", "", "a b", "é", "…", "a\n"].map(isToken), [true, false, false, false, false, false]);
  assert.deepEqual(token.headers, { Authorization: "Bearer a?>~é" });
  token.value = "";
  assert.equal(storage.value, null);
});

test("what the browser does not keep is remembered until the page is left", () => {
  const denied = new Kept(() => {
    throw new Error("denied");
  });
  const storage = new Map([["k", "old"]]);
  const full = { getItem: (key) => storage.get(key) ?? null, removeItem: (key) => storage.delete(key), clear: () => storage.clear() };
  full.setItem = () => {
    throw new Error("full");
  };
  for (const kept of [denied, new Kept(() => full)]) {
    kept.setItem("k", "new");
    assert.equal(kept.getItem("k"), "new");
    kept.removeItem("k");
    assert.equal(kept.getItem("k"), null);
    kept.setItem("k", "newer");
    kept.clear();
    assert.equal(kept.getItem("k"), null);
  }
  const kept = new Kept(() => full);
  kept.setItem("k", "1");
  full.setItem = (key, text) => storage.set(key, text);
  kept.setItem("k", "2");
  assert.deepEqual([kept.getItem("k"), storage.get("k")], ["2", "2"]);
});

test("an outbox keeps one command a run, and bears a storage that is spoilt", () => {
  const storage = { value: null, getItem: () => storage.value, setItem: (_, text) => (storage.value = text), removeItem: () => (storage.value = null) };
  const outbox = new Outbox(storage);
  const command = (runId, thread = "t") => ({ thread, input: { runId } });
  outbox.put(command("a"));
  outbox.put(command("b", "u"));
  outbox.put(command("a"));
  assert.deepEqual(outbox.commands.map((one) => one.input.runId), ["b", "a"]);
  assert.deepEqual(outbox.of("t"), [command("a")]);
  outbox.remove(command("a"));
  assert.deepEqual(outbox.commands, [command("b", "u")]);
  storage.value = "{";
  assert.deepEqual(outbox.commands, []);
});

test("what an outbox delivers is kept while it waits for its turn, and until its thread is gone", async () => {
  const storage = { value: null, getItem: () => storage.value, setItem: (_, text) => (storage.value = text) };
  const outbox = new Outbox(storage);
  const command = (runId, thread) => ({ thread, input: { runId } });
  const says = (answer) => ({ request: async () => answer });
  assert.deepEqual(await outbox.deliver(command("a", "t"), says({ queued: true })), { queued: true });
  await outbox.deliver(command("b", "u"), says({ queued: true }));
  await outbox.deliver(command("c", "u"), says({}));
  const refuses = { request: () => Promise.reject(new Refusal({ code: "thread_busy" })) };
  await assert.rejects(outbox.deliver(command("d", "u"), refuses), Refusal);
  assert.deepEqual(outbox.commands, [command("a", "t"), command("b", "u")]);
  outbox.forget("t");
  assert.deepEqual(outbox.commands, [command("b", "u")]);
});

test("JSON is indented, everything else is left alone", () => {
  assert.equal(pretty('{"a":[1]}'), '{\n  "a": [\n    1\n  ]\n}');
  for (const text of ["", "plain", '{"a":', "12", '"x"', "{not json}"]) assert.equal(pretty(text), text);
});

test("arguments are told in one short line", () => {
  assert.equal(preview('{"query":"kill -9","limit":3,"deep":{"a":1}}'), 'query: kill -9, limit: 3, deep: {"a":1}');
  assert.equal(preview('["a",2]'), "a, 2");
  assert.equal(preview('{"a":\n "b'), '{"a": "b');
  assert.equal(preview("x".repeat(500)).length, 80);
});

const asks = (responseSchema, about = {}) => formOf({ reason: "question", responseSchema, ...about });
const ORDER = {
  type: "object",
  required: ["name", "size", "agree"],
  properties: {
    name: { type: "string", title: "Your name", description: "As on the passport", default: "Ada" },
    size: { $ref: "#/$defs/Size" },
    count: { type: "integer", minimum: 1 },
    price: { anyOf: [{ type: "number" }, { type: "null" }], default: null },
    agree: { type: "boolean", default: true },
    gift: { type: "boolean", default: false },
    when: { type: "string", format: "date" },
    parts: { type: "array", items: { type: "string" } },
  },
  $defs: { Size: { enum: ["S", "M"], title: "Size" } },
};

test("without a schema the reason decides: an approval has buttons, a question a field", () => {
  for (const schema of [undefined, null, {}]) {
    assert.equal(asks(schema).fields[0].kind, "text");
    assert.equal(asks(schema, { reason: "input_required" }).fields[0].kind, "text");
    for (const reason of ["approval", "confirmation", "tool_call"]) assert.equal(asks(schema, { reason }).kind, "approval");
    assert.equal(asks(schema, { toolCallId: "c" }).kind, "approval");
  }
});

test("the schema of a question decides its form", () => {
  const approval = { type: "object", properties: { approved: { type: "boolean" } }, required: ["approved"] };
  assert.equal(asks(approval).kind, "approval");
  assert.equal(asks({ type: "boolean" }).kind, "yesno");
  assert.equal(asks({ type: "boolean", default: true }).kind, "yesno");
  const kindOf = (schema) => [asks(schema).kind, asks(schema).fields[0].kind];
  assert.deepEqual(kindOf({ enum: ["a", 2] }), ["value", "choice"]);
  assert.deepEqual(kindOf({ type: "string" }), ["value", "text"]);
  assert.deepEqual(kindOf({ type: ["integer", "null"] }), ["value", "number"]);
  assert.deepEqual(kindOf({ type: "array" }), ["value", "json"]);
  assert.deepEqual(kindOf({ type: "object" }), ["value", "json"]);
  const itself = { type: "object", properties: {} };
  itself.properties.again = itself;
  assert.equal(asks(itself).fields[0].kind, "json", "a schema without end has an example with one");
  const round = { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } };
  assert.equal(asks(round).fields[0].kind, "json", "a reference to itself leads nowhere");
  for (const odd of [true, 7, "x", { properties: { a: null } }, { $ref: "http://elsewhere/" }, { oneOf: [null] }]) asks(odd);
});

test("a schema that is none gets a field for JSON", () => {
  const odd = { toString: 1 };
  const text = { type: "string" };
  for (const schema of [
    { type: "object", properties: { a: text }, required: true },
    { properties: { approved: { type: "boolean" } }, required: "approved" },
    { $ref: "#/%zz" },
    { type: "string", title: odd },
    { type: "string", default: odd },
    { properties: { a: { type: "string", maxLength: odd } } },
  ]) {
    assert.deepEqual(asks(schema), asks({ type: "object" }), JSON.stringify(schema));
    assert.equal(asks(schema).fields[0].kind, "json");
  }
  assert.equal(asks({ type: "integer", minimum: odd, maximum: odd }).fields[0].minimum, undefined);
  assert.deepEqual(payloadOf(asks({ type: "string", minLength: odd }), ["x"]), { payload: "x" });
});

test("a flat object has a field for each property, with what the schema says of it", () => {
  const { kind, fields } = asks(ORDER);
  assert.equal(kind, "fields");
  const said = fields.map(({ name, kind, title, required, initial }) => [name, kind, title, required, initial]);
  assert.deepEqual(said, [
    ["name", "text", "Your name", true, "Ada"],
    ["size", "choice", "Size", true, ""],
    ["count", "number", "count", false, ""],
    ["price", "number", "price", false, ""],
    ["agree", "choice", "agree", true, ""],
    ["gift", "choice", "gift", false, "1"],
    ["when", "text", "when", false, ""],
    ["parts", "json", "parts", false, ""],
  ]);
  assert.equal(fields[0].hint, "As on the passport");
  assert.equal(fields[6].type, "date");
});

test("a yes is chosen beforehand nowhere, however deep it is", () => {
  const initial = (inner) => asks({ required: ["in"], properties: { in: inner } }).fields[0].initial;
  const agree = { type: "boolean", default: true };
  assert.equal(initial({ type: "object", default: { agree: true, gift: false } }), '{\n  "agree": null,\n  "gift": false\n}');
  assert.deepEqual(JSON.parse(initial({ type: "object", required: ["agree"], properties: { agree } })), { agree: null });
  assert.deepEqual(JSON.parse(initial({ type: "array", default: [true] })), [null]);
  assert.deepEqual(JSON.parse(initial({ type: "object", required: ["a"], properties: { a: { const: true } } })), { a: null });
  assert.equal(initial({ type: ["boolean", "string"], default: true }), "");
  assert.equal(asks({ type: "array", default: [true] }).fields[0].initial, "[\n  null\n]");
});

test("an example has what is required, and no more than can be read", () => {
  const field = (inner) => asks({ required: ["in"], properties: { in: inner } }).fields[0];
  const text = { type: "string" };
  const initial = field({ type: "object", required: ["a"], properties: { a: text, b: text } }).initial;
  assert.deepEqual(JSON.parse(initial), { a: "" });
  const names = Array.from({ length: 100 }, (_, at) => `p${at}`);
  const wide = { type: "object", required: names };
  wide.properties = Object.fromEntries(names.map((name) => [name, wide]));
  assert.equal(field(wide).initial.match(/"p/g).length, 99);
});

test("a time is asked for with an example, because no field of a browser has one with a time zone", () => {
  const field = (format, description) => asks({ properties: { at: { type: "string", format, description } } }).fields[0];
  assert.deepEqual([field("time").type, field("time").hint], ["text", "For example 12:30:00Z"]);
  assert.equal(field("date-time", "Of landing.").hint, "Of landing. For example 2026-12-24T12:30:00Z");
  assert.deepEqual([field("date").type, field("date").hint], ["date", ""]);
  assert.deepEqual([field("toString").type, field("toString").hint], ["text", ""]);
  assert.equal(asks({ type: "string", format: "time" }).fields[0].long, false);
});

test("an empty field for JSON says so, with an example that binds nobody", () => {
  const hint = (inner) => asks({ properties: { in: inner } }).fields[0].hint;
  const where = { type: "object", required: ["city"], properties: { city: { type: "string" } } };
  assert.equal(hint({ ...where, description: "Where to." }), 'Where to. JSON, for example {"city":""}');
  assert.equal(hint({ type: "array" }), "JSON, for example []");
  const sure = { type: "object", required: ["sure"], properties: { sure: { default: true } } };
  assert.equal(hint(sure), 'JSON, for example {"sure":null}');
  const names = Array.from({ length: 50 }, (_, at) => `p${at}`);
  assert.equal(hint({ type: "object", required: names }), "JSON.");
  assert.equal(hint({ enum: [] }), "JSON, for example {}");
  assert.equal(asks({ required: ["in"], properties: { in: where } }).fields[0].hint, "", "it begins with one");
});

test("a choice has the titles of its options", () => {
  const [field] = asks({ oneOf: [{ const: "s", title: "Small" }, { const: true }] }).fields;
  assert.deepEqual(field.options.map(({ label }) => label), ["Small", "Yes"]);
});

test("what is in the fields becomes the payload, or problems in words", () => {
  const texts = ["Ann", "1", "2", "", "0", "", "", '["x"]'];
  const payload = { name: "Ann", size: "M", count: 2, agree: true, parts: ["x"] };
  assert.deepEqual(payloadOf(asks(ORDER), texts), { payload });
  const { problems } = payloadOf(asks(ORDER), [" ", "", "0", "1,5", "", "", "", "["]);
  assert.deepEqual([...problems.keys()], ["name", "size", "count", "price", "agree", "parts"]);
  assert.match(problems.get("count"), /at least 1/);
  assert.match(problems.get("price"), /not a number/);
  assert.match(problems.get("parts"), /not JSON/);
  assert.deepEqual(payloadOf(asks({ type: "string" }), ["x"]), { payload: "x" });
  assert.deepEqual(payloadOf(asks({ enum: ["a", false] }), ["1"]), { payload: false });
  assert.deepEqual(payloadOf(asks({ type: "array" }), ["[1]"]), { payload: [1] });
  assert.deepEqual(payloadOf(asks({ type: ["integer", "null"] }), [""]), { payload: null });
  assert.deepEqual(payloadOf(asks({ type: "integer" }), ["1e3"]), { payload: 1000 });
  for (const wrong of ["", "1.5", "0x10", "Infinity", "1e999", "one"]) {
    assert.equal(payloadOf(asks({ type: "integer" }), [wrong]).payload, undefined, wrong);
  }
  assert.deepEqual([labelOf(true), labelOf(false), labelOf("a"), labelOf({ b: 1 })], ["Yes", "No", "a", '{"b":1}']);
});

test("an optional text of spaces only is left out, and other spaces stay", () => {
  const form = asks({ required: ["a"], properties: { a: { type: ["string", "null"] }, b: { type: "string" } } });
  assert.deepEqual(payloadOf(form, ["  ", " "]), { payload: { a: null } });
  assert.deepEqual(payloadOf(form, [" x ", "\ty"]), { payload: { a: " x ", b: "\ty" } });
});

test("an integer that JavaScript would change is refused in words", () => {
  const form = asks({ type: "integer" });
  assert.deepEqual(payloadOf(form, ["9007199254740991"]), { payload: Number.MAX_SAFE_INTEGER });
  for (const digits of ["9007199254740993", "-9007199254740993", "1e300"]) {
    assert.match(payloadOf(form, [digits]).problems.get(null), /too many digits/);
  }
  assert.deepEqual(payloadOf(asks({ type: "number" }), ["1e300"]), { payload: 1e300 });
});

test("a property whose name is that of something else is only a property", () => {
  const form = asks(JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string"},"a b":{"type":"string"}}}'));
  assert.equal(JSON.stringify(payloadOf(form, ["x", "y"]).payload), '{"__proto__":"x","a b":"y"}');
});

test("a refusal is shown at the field that it is about", () => {
  const form = asks({ properties: { size: {}, "a b": { type: "string" } } });
  assert.equal(fieldAt(form, "$.payload.size[1].x"), "size");
  assert.equal(fieldAt(form, '$.payload["a b"]'), "a b");
  for (const none of ["$.payload", "$.payload.other", "$.thread", null]) assert.equal(fieldAt(form, none), null);
});

test("the progress of a run is told in a line, whatever an agent says", () => {
  const told = (value) => [progressText(value), partDone(value)];
  assert.deepEqual(told({ text: "Looking", done: 1, total: 2 }), ["Looking (1 of 2)", 0.5]);
  assert.deepEqual(told({ text: "a\n b", done: 1234.567 }), ["a b (1,234.57)", null]);
  assert.equal(progressText({ text: "x".repeat(500) }).length, 80);
  assert.deepEqual(told({ text: "", done: 5, total: 4 }), ["5 of 4", 1]);
  for (const odd of [null, "x", 7, [], { text: 7, done: "1", total: 0 }]) assert.deepEqual(told(odd), ["", null]);
});

test("an answer is told by what it says", () => {
  assert.equal(verdictOf({ status: "resolved", payload: { approved: true } }), "approved");
  assert.equal(verdictOf({ status: "resolved", payload: { approved: false } }), "rejected");
  assert.equal(verdictOf({ status: "cancelled", payload: { approved: true } }), "declined");
  for (const payload of [null, "yes", { approved: "true" }, 1]) assert.equal(verdictOf({ status: "resolved", payload }), "answered");
});

test("a refusal says what a person can use", () => {
  const busy = new Refusal({ code: "thread_busy", message: "internal wording", correlation: "k1" });
  assert.match(busy.text, /still busy/);
  assert.doesNotMatch(busy.text, /internal wording/);
  assert.doesNotMatch(busy.text, /k1/, "nobody needs the log for what is no fault of the server");
  assert.match(new Refusal({ code: "internal", correlation: "k1" }).text, /Reference: k1/);
  assert.match(new Refusal({ code: "bad_input", message: "title is empty" }).text, /title is empty/);
  assert.equal(new Refusal({ code: "thread_busy" }).retry, true);
  assert.equal(new Refusal({ code: "forbidden" }).retry, false);
  assert.equal(new Refusal({ code: "thread_busy", retry: false }).retry, false, "the server knows best");
  assert.notEqual(new Refusal({ code: "from_the_future" }).text, "");
  assert.equal(closeRow(4999).retry, "later");
});

test("a state is told in words, with the seconds that are left", () => {
  assert.equal(wordsFor("live", {}, 0), "Live");
  assert.equal(wordsFor("waiting", { until: 2_400 }, 0), "Reconnecting in 3 s");
  assert.equal(wordsFor("waiting", { until: 2_400 }, 9_000), "Reconnecting in 1 s");
  assert.match(wordsFor("restarting", { until: 5_000 }, 0), /^Server stopped, .*5 s/);
  assert.match(wordsFor("offline", { until: 5_000 }, 0), /Offline.*5 s/);
  assert.match(wordsFor("refused", { code: 4403 }, 0), /another user/);
});

test("pages of threads are put together", () => {
  const thread = (id, updated_at, title = id) => ({ id, updated_at, title });
  const page = (next, ...threads) => ({ threads, next });
  const two = [thread("d", 9), thread("c", 8), thread("b", 7), thread("a", 6)];
  assert.deepEqual(merged([thread("d", 9), thread("c", 8)], page(null, thread("b", 7), thread("a", 6)), true), two);
  const fresher = page("x", thread("b", 10, "new"), thread("d", 9));
  assert.deepEqual(merged(two, fresher, false).map((one) => one.id), ["b", "d", "c", "a"], "b moved up");
  assert.deepEqual(merged(two, page("x", thread("d", 9), thread("b", 7)), false).map((one) => one.id), ["d", "b", "a"], "c is gone");
  assert.deepEqual(merged(two, page(null, thread("d", 9)), false).map((one) => one.id), ["d"], "there is nothing after the last page");
  assert.deepEqual(merged(two, page(null), false), []);
  const equal = [thread("c", 5), thread("b", 5), thread("a", 5)];
  assert.deepEqual(merged(equal, page("x", thread("c", 5)), false).map((one) => one.id), ["c", "b", "a"], "of one time, by id");
});
