// The form for an agent's question: what its JSON Schema asks for, field by field.
//
// A form is {kind, fields}; a field is {name, kind, title, hint, required, initial, …}. Kinds:
//   approval  two buttons for {"approved": true} and {"approved": false}
//   yesno     two buttons for true and false
//   value     one field, whose value is the answer; its name is null
//   fields    a field for each property of an object
// and of fields:
//   text      {type: of its <input>; long: whether it may have lines}
//   number    {whole: whether it must be an integer}
//   choice    {options, labels}: booleans too
//   json      anything else

const APPROVALS = new Set(["approval", "confirmation", "tool_call"]); // Reasons, also AG-UI's own.
const INPUT_TYPES = { __proto__: null, email: "email", uri: "url", date: "date" };
/** What is asked for with a time zone (RFC 3339) has no field of its own in browsers. */
export const EXAMPLES = { __proto__: null, time: "12:30:00Z", "date-time": "2026-12-24T12:30:00Z" };
const MOST_FIELDS = 30;
const MOST_VALUES = 100; // That an example has.
const LONG_TEXT = 120; // Characters that a text may have from which on it gets lines.

/**
 * Return the form for an AG-UI interrupt. Without a schema its reason decides. A schema may be
 * anything that an agent has put there: what none can be made of has one field for JSON.
 */
export function formOf(interrupt) {
  try {
    return formFor(interrupt);
  } catch {
    return one({});
  }
}

function formFor({ responseSchema, reason, toolCallId }) {
  const schema = responseSchema ?? {};
  if (Object.keys(schema).length === 0) {
    const approves = toolCallId || APPROVALS.has(reason);
    return approves ? { kind: "approval", fields: [] } : one({ type: "string" });
  }
  if (asksForApproval(schema)) return { kind: "approval", fields: [] };
  const root = schema;
  const inner = plain(schema, root);
  if (inner.type === "boolean" && !inner.enum) return { kind: "yesno", fields: [] };
  const properties = Object.entries(inner.properties ?? {});
  const flat = inner.type === "object" || (inner.type === undefined && properties.length > 0);
  if (!flat || properties.length === 0 || properties.length > MOST_FIELDS) return one(inner, root);
  const required = new Set(inner.required ?? []);
  const fields = properties.map(([name, property]) => fieldOf(name, property, required.has(name), root));
  return { kind: "fields", fields };
}

/** Return the name of the field that a path such as `$.payload.size` leads into; null if none. */
export function fieldAt(form, where) {
  const step = /^\$\.payload(?:\.([\p{L}\p{N}_]+)|\[("(?:[^"\\]|\\.)*")\])/u.exec(where ?? "");
  if (step === null) return null;
  const name = step[1] ?? JSON.parse(step[2]);
  return form.fields.some((field) => field.name === name) ? name : null;
}

/** Return what to call an option of a choice. */
export function labelOf(option) {
  if (option === true) return "Yes";
  if (option === false) return "No";
  return typeof option === "string" ? option : String(JSON.stringify(option));
}

function asksForApproval(schema) {
  const required = schema.required ?? [];
  return (
    schema.properties?.approved?.type === "boolean" && required.every((name) => name === "approved")
  );
}

/** Return the form with one field, which must be filled in. */
function one(schema, root = schema) {
  return { kind: "value", fields: [{ ...fieldOf(null, schema, true, root), title: "" }] };
}

function fieldOf(name, property, required, root) {
  const schema = plain(property, root);
  const about = {
    name,
    title: String(schema.title ?? property?.title ?? name ?? ""),
    hint: String(schema.description ?? property?.description ?? ""),
    required,
    nullable: schema.nullable,
  };
  const initial = property?.default ?? schema.default;
  const options = optionsOf(schema);
  if (options) {
    // Nobody consents by overlooking a field: a default may say no, but not yes.
    const at = initial === true ? -1 : options.findIndex(({ value }) => value === initial);
    return { ...about, kind: "choice", options, initial: at < 0 ? "" : String(at) };
  }
  const given = initial === undefined || initial === null ? "" : String(initial);
  if (schema.type === "string") {
    const type = INPUT_TYPES[schema.format] ?? "text";
    const example = EXAMPLES[schema.format];
    const long = type === "text" && !example && (name === null || schema.maxLength > LONG_TEXT);
    const hint = [about.hint, example && `For example ${example}`].filter(Boolean).join(" ");
    return { ...about, hint, kind: "text", type, long, least: numeric(schema.minLength) ?? 0, initial: given };
  }
  if (schema.type === "integer" || schema.type === "number") {
    const [minimum, maximum] = [numeric(schema.minimum), numeric(schema.maximum)];
    return { ...about, kind: "number", whole: schema.type === "integer", minimum, maximum, initial: given };
  }
  const example = initial ?? (required ? exampleOf(schema, root) : undefined);
  const begun = example === true ? "" : (JSON.stringify(example, unconsenting, 2) ?? "");
  const hint = begun === "" ? [about.hint, jsonLike(schema, root)].filter(Boolean).join(" ") : about.hint;
  return { ...about, hint, kind: "json", initial: begun };
}

/** Return what to say of an empty field whose value is to be JSON. */
function jsonLike(schema, root) {
  const example = JSON.stringify(exampleOf(schema, root), unconsenting);
  return example.length > LONG_TEXT ? "JSON." : `JSON, for example ${example}`;
}

/** Nobody consents by overlooking a yes inside JSON either. */
function unconsenting(_, value) {
  return value === true ? null : value;
}

function numeric(value) {
  return typeof value === "number" ? value : undefined;
}

function optionsOf(schema) {
  if (Array.isArray(schema.enum) && schema.enum.length > 0) {
    return schema.enum.map((value) => ({ value, label: labelOf(value) }));
  }
  if (schema.type === "boolean") return [true, false].map((value) => ({ value, label: labelOf(value) }));
  const named = schema.oneOf ?? schema.anyOf;
  if (!Array.isArray(named) || named.length === 0) return null;
  if (!named.every((each) => each !== null && typeof each === "object" && "const" in each)) return null;
  return named.map((each) => ({ value: each.const, label: String(each.title ?? labelOf(each.const)) }));
}

/** Return a schema without what only wraps it: references into `root`, and "or null". */
function plain(schema, root, depth = 0) {
  if (schema === null || typeof schema !== "object") return {};
  if (depth > 8) return {};
  if (typeof schema.$ref === "string") {
    const { $ref, ...own } = schema;
    return { ...plain(referred($ref, root), root, depth + 1), ...own };
  }
  if (Array.isArray(schema.allOf) && schema.allOf.length === 1) {
    const { allOf, ...own } = schema;
    return { ...plain(allOf[0], root, depth + 1), ...own };
  }
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((type) => type !== "null");
    const nullable = types.length < schema.type.length;
    return { ...schema, type: types.length === 1 ? types[0] : "any", nullable };
  }
  if ("const" in schema) return { ...schema, enum: [schema.const] };
  const either = schema.anyOf ?? schema.oneOf;
  const others = Array.isArray(either) ? either.filter((each) => each?.type !== "null") : [];
  if (others.length === 1 && others.length < either.length) {
    const { anyOf, oneOf, ...own } = schema;
    return { ...plain(others[0], root, depth + 1), ...own, nullable: true };
  }
  return schema;
}

function referred(pointer, root) {
  if (!pointer.startsWith("#")) return {};
  const steps = pointer.slice(1).split("/").slice(1);
  const unescaped = steps.map((step) => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~"));
  return unescaped.reduce((found, step) => found?.[step], root) ?? {};
}

/** Return a value to begin from: what is required, and of that no more than MOST_VALUES. */
function exampleOf(given, root, depth = 0, budget = { values: MOST_VALUES }) {
  budget.values -= 1;
  const schema = plain(given, root);
  if (schema.default !== undefined) return schema.default;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0];
  if (schema.type === "array") return [];
  if (schema.type === "number" || schema.type === "integer") return 0;
  if (schema.type === "boolean") return false;
  if (schema.type === "string") return "";
  const example = [];
  for (const name of depth < 4 ? new Set(schema.required ?? []) : []) {
    if (budget.values <= 0) break;
    example.push([name, exampleOf(schema.properties?.[name], root, depth + 1, budget)]);
  }
  return Object.fromEntries(example);
}
