// The items of a conversation: what the page shows, one after another.
//
// An item is {key, kind, version, …}; `version` changes whenever the item does, so that a view
// draws only what changed. Kinds:
//   user      {id, text, by, delivery, problem}
//             delivery: "sent" | "pending" | "queued" | "called-off" | "failed"
//             by: the member who has said it, or null: the owner of the thread
//   answer    {id, text, open}
//   thinking  {id, text, open}
//   tool      {id, name, args, result, failed, status}
//             status: "calling" | "running" | "waiting" | "done" | "failed" | "unanswered"
//   note      {id, role, text}                           a system or developer message
//   activity  {id, name, content}
//   question  {id, interrupt, answer: null | {status, payload, by, won}}
//   ending    {id, status, code, message}                a run that did not end well

/** Return the member who has said an AG-UI message, as the server has signed it; null for the owner. */
export function memberOf(message) {
  return message.metadata?.netra?.user ?? null;
}

/** Return the text of an AG-UI content: a string, or parts of which some are not text. */
export function textOf(content) {
  if (content === undefined || content === null) return "";
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return JSON.stringify(content, null, 2);
  return content
    .map((part) => (part?.type === "text" ? String(part.text) : `[${part?.type ?? "part"}]`))
    .join("\n");
}

/** Whether an item that a snapshot lacks stays; `kinds` are those the snapshot has. */
export function survives(item, kinds) {
  if (item.kind === "thinking" || item.kind === "activity") return item.open || !kinds.has(item.kind);
  if (item.kind === "question" || item.kind === "ending") return true;
  return isUnsent(item) || item.open || item.status === "calling";
}

export function isUnsent(item) {
  return item.kind === "user" && item.delivery !== "sent";
}

export function textItem(kind, id, text, { open, role, by = null }) {
  const item = { key: `${kind}:${id}`, kind, id, text, open };
  if (kind === "user") return { ...item, by, delivery: "sent", problem: null };
  return kind === "note" ? { ...item, role } : item;
}

export function toolItem(id, name, args, status) {
  const key = `tool:${id}`;
  return { key, kind: "tool", id, name: String(name), args, result: null, failed: false, status };
}

export function questionItem(interrupt) {
  const { id } = interrupt;
  return { key: `question:${id}`, kind: "question", id, interrupt, answer: null };
}

export function endingItem(run, status, { code = null, message = "" } = {}) {
  return { key: `ending:${run}`, kind: "ending", id: run, status, code, message };
}
