"""The lines of a Python source, counted as the parser counts them."""

import re

_LINE = r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+"


def split_lines(source: str) -> list[str]:
    """Return the lines with their ends, which joined are the source again.

    Only ``\\n``, ``\\r\\n`` and ``\\r`` end a line; `str.splitlines` also breaks at form feeds and
    others that Python's tokenizer takes for blanks.
    """
    return re.findall(_LINE, source)
