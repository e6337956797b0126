// The line under the conversation that says what the run is doing.

import { setText } from "./dom.js";
import { partDone, progressText } from "./progress.js";

export class Working {
  #nodes;

  /** `nodes` are {line, text, progress}. */
  constructor(nodes) {
    this.#nodes = nodes;
  }

  /** Show the `status` of the newest run of a Conversation, or of none; `live`: we would hear of more. */
  draw(status, conversation, live) {
    const { line, text, progress } = this.#nodes;
    const step = conversation?.steps.at(-1) ?? "";
    const said = conversation?.progress ?? null;
    const words = wordsFor(progressText(said) || step, live);
    if (isUnanswered(conversation?.items ?? [])) words.finished = "The agent ended without an answer.";
    line.hidden = !(status in words);
    line.toggleAttribute("data-paused", !live);
    line.toggleAttribute("data-over", status === "finished");
    line.dataset.step = step;
    setText(text, words[status] ?? "");
    const part = partDone(said);
    progress.hidden = part === null || status !== "running" || !live;
    progress.value = part ?? 0;
  }
}

/** Return what to say of each status in which something goes on, `doing` what the agent has said. */
function wordsFor(doing, live) {
  if (live) {
    const running = doing ? `Working: ${doing}` : "Working…";
    return { starting: "Sending…", running, cancelling: "Stopping…" };
  }
  // Without a connection nobody here knows whether the agent still works.
  const later = "The rest comes when the connection is back.";
  return { starting: "This is sent when the connection is back.", running: later, cancelling: later };
}

/** Whether nothing is shown after the last question. */
function isUnanswered(items) {
  const last = items.findLast(({ kind, text }) => !["answer", "thinking"].includes(kind) || text.trim());
  return last?.kind === "user" && last.delivery === "sent";
}
