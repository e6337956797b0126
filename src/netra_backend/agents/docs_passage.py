"""What to quote of a section: whole blocks of Markdown, from the ones that say the words on.

A block that ends with a colon leads to the one below it: the two are quoted together or not at all.
"""

import re
from itertools import accumulate

from netra_backend.agents.documentation import blocks

PASSAGE_CHARACTERS = 1_000
"""Characters of a passage, about; a block of Markdown is not cut in two to keep to it."""

WHOLE_CHARACTERS = 3_000
"""The same for a section whose heading is what was asked for: all of it is wanted."""

OPEN, CLOSE = "\x02", "\x03"
"""What stands around each word that was searched for, in the text that `passage` takes."""

_TABLE_RULE = re.compile(r"\s*\|?[\s:|-]*-[\s:|-]*$")
_MORE = "| … |"


def passage(marked: str, share: float) -> str:
    """Return what to quote of a section: all, or the blocks from the one with most matches on.

    `share` is how much of the heading the words make up, 0 if it has not most of them: one that
    has is quoted from its start, and one whose heading is all of them and no more (1) at length.
    """
    parts = _together(blocks(marked))
    limit = WHOLE_CHARACTERS if share == 1 else PASSAGE_CHARACTERS
    start = 0
    if len(marked) > limit and share == 0:
        start = max(range(len(parts)), key=lambda number: _different(parts[number]))
    chosen: list[str] = []
    size = 0
    for part in parts[start:]:
        quoted = "\n\n".join(_fitted(part, limit - size, only_matches=share == 0))
        if chosen and size + len(quoted) > limit:
            break
        chosen.append(quoted)
        size += len(quoted)
    return "\n\n".join(chosen)


def is_code(block: str) -> bool:
    """Return whether a block is a code example."""
    return block.lstrip().startswith(("```", "~~~"))


def is_table(block: str) -> bool:
    """Return whether a block is a table."""
    lines = block.splitlines()
    return len(lines) > 2 and _TABLE_RULE.match(lines[1]) is not None


def has_prose(body: str) -> bool:
    """Return whether a section says anything outside of code and tables."""
    return any(not (is_code(block) or block.lstrip().startswith("|")) for block in blocks(body))


def _together(parts: list[str]) -> list[tuple[str, ...]]:
    """Return the blocks, each with those that it leads to."""
    found: list[tuple[str, ...]] = []
    for part in parts:
        if found and found[-1][-1].rstrip(CLOSE).endswith(":"):
            found[-1] = (*found[-1], part)
        else:
            found.append((part,))
    return found


def _different(part: tuple[str, ...]) -> tuple[int, int]:
    """Return how many different words were found in a part, and how often."""
    found = re.findall(f"{OPEN}([^{CLOSE}]*){CLOSE}", "\n".join(part))
    return len({word.lower()[:5] for word in found}), len(found)


def _fitted(part: tuple[str, ...], room: int, *, only_matches: bool) -> list[str]:
    """Return the blocks of a part without the marks, tables as far as there is room."""
    fitted: list[str] = []
    for block in part:
        plain = _fitting(block, room, only_matches=only_matches)
        fitted.append(plain.replace(OPEN, "").replace(CLOSE, ""))
        room -= len(fitted[-1])
    return fitted


def _fitting(block: str, room: int, *, only_matches: bool) -> str:
    """Return a block as it is; of a table that has no room the rows with matches, or the first."""
    if len(block) <= room or not is_table(block):
        return block
    lines = block.splitlines()
    rows = [row for row in lines[2:] if OPEN in row and only_matches] or lines[2:]
    ends = accumulate((len(row) + 1 for row in rows), initial=len(lines[0]) + len(lines[1]) + 3)
    kept = [row for row, end in zip(rows, list(ends)[1:], strict=True) if end + len(_MORE) <= room]
    kept = kept or rows[:1]
    return "\n".join([*lines[:2], *kept, *([_MORE] if len(kept) < len(rows) else [])])
