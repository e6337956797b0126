// Titles: what to call a conversation.

const NEW = "New conversation";
const LOADING = "Conversation";
const ENDED = { unknown: "No such conversation", deleted: "Deleted conversation" };

/** Return the title of `thread`, an OpenThread or null for a new one; `listed` is what the list has, or null. */
export function titleOf(thread, listed) {
  if (thread === null) return NEW;
  return listed ?? firstQuestion(thread.conversation.items) ?? untitled(thread);
}

function firstQuestion(items) {
  return items.find((item) => item.kind === "user")?.text.split("\n", 1)[0].slice(0, 80);
}

function untitled({ ended, loaded }) {
  if (ended) return ENDED[ended.reason] ?? LOADING;
  return loaded ? NEW : LOADING;
}
