// The reply to an agent's question: which form its JSON Schema asks for, and what the form means.

/**
 * Return the form for `schema`: {kind: "approval"}, {kind: "text"}, {kind: "choice", options}
 * or {kind: "json", example} for everything else.
 */
export function formOf(schema) {
  if (!schema || Object.keys(schema).length === 0 || asksForApproval(schema)) {
    return { kind: "approval" };
  }
  if (Array.isArray(schema.enum) && schema.enum.length > 0) {
    return { kind: "choice", options: schema.enum };
  }
  if (schema.type === "boolean") return { kind: "choice", options: [true, false] };
  if (schema.type === "string") return { kind: "text" };
  return { kind: "json", example: JSON.stringify(exampleOf(schema), null, 2) };
}

/** Return the payload that `text` in the form stands for: {payload}, or {problem} in words. */
export function payloadOf(form, text) {
  if (form.kind === "text") return { payload: text };
  if (form.kind === "choice") return { payload: form.options[Number(text)] };
  try {
    return { payload: JSON.parse(text) };
  } catch (error) {
    return { problem: `This is not JSON: ${error.message}` };
  }
}

/** Return what to call an option of a choice. */
export function labelOf(option) {
  if (option === true) return "Yes";
  if (option === false) return "No";
  return typeof option === "string" ? option : String(JSON.stringify(option));
}

/** Return how an answer is told: "approved", "rejected", "answered" or "declined". */
export function verdictOf({ status, payload }) {
  if (status === "cancelled") return "declined";
  if (payload?.approved === true) return "approved";
  if (payload?.approved === false) return "rejected";
  return "answered";
}

function asksForApproval(schema) {
  const required = schema.required ?? [];
  return (
    schema.properties?.approved?.type === "boolean" && required.every((name) => name === "approved")
  );
}

function exampleOf(schema, depth = 0) {
  if (schema?.default !== undefined) return schema.default;
  if (Array.isArray(schema?.enum)) return schema.enum[0];
  if (schema?.type === "array") return [];
  if (schema?.type === "number" || schema?.type === "integer") return 0;
  if (schema?.type === "boolean") return false;
  if (schema?.type === "string") return "";
  const properties = depth < 4 ? Object.entries(schema?.properties ?? {}) : [];
  return Object.fromEntries(properties.map(([name, inner]) => [name, exampleOf(inner, depth + 1)]));
}
