// Positions: where an entry stands in its thread's log, and whether a frame is the next one.
//
// A position is {epoch, offset}; both are BigInt, because an offset may have 19 digits. Offsets
// are dense within an epoch, so a client can prove that it missed nothing.

const POSITION = /^(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})$/;

/** Return the position that `text` ("<epoch>-<offset>") spells, or null. */
export function parsePosition(text) {
  const found = typeof text === "string" ? POSITION.exec(text) : null;
  return found && { epoch: BigInt(found[1]), offset: BigInt(found[2]) };
}

/** Return the wire form of `position`; the empty string for null. */
export function formatPosition(position) {
  return position ? `${position.epoch}-${position.offset}` : "";
}

/**
 * Judge an event frame by the position of the last one that was applied: {verdict, position}.
 *
 * "next": apply it, `position` is then the last. "duplicate": it was applied before. "gap":
 * something is missing, or the frame overlaps what was applied. Without `last` (nothing yet),
 * only the first entry of the log is next.
 */
export function judge(last, frame) {
  const end = parsePosition(frame.id);
  const start = frame.from === undefined ? end : parsePosition(frame.from);
  if (!end || !start || start.epoch !== end.epoch || start.offset > end.offset) return GAP;
  const applied = last ? last.offset : 0n;
  if (last && last.epoch !== end.epoch) return GAP;
  if (start.offset === applied + 1n) return { verdict: "next", position: end };
  if (end.offset <= applied) return { verdict: "duplicate", position: last };
  return GAP;
}

const GAP = Object.freeze({ verdict: "gap", position: null });
