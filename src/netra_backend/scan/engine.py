"""The scan in two steps: `summarise` each file on its own, then `link` what they say.

Pure: no file is read, no code imported, nothing executed. A summary depends on nothing but its
three arguments and `VERSION`, so it can be kept by the hash of the source.
"""

from collections.abc import Sequence

from msgspec import Struct

from netra_backend.scan.finding import Finding
from netra_backend.scan.options import Options

VERSION = "1"
"""Changes whenever a summary of the same source would come out different."""


class Summary(Struct, frozen=True):
    """What one file contributes to the scan; `msgspec.msgpack` writes and reads it.

    `skipped` is None, or says in one line why the file is not part of the scan. `imports` are
    the modules it names: whoever has the environment's files can summarise these too.
    """

    path: str
    module: str
    skipped: str | None = None
    imports: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    body: bytes = b""


def summarise(path: str, module: str, source: str) -> Summary:
    """Return the summary of one file; never raises, whatever the text.

    `path` is what findings will say, `module` the dotted name under which other files import it
    (a package's ``__init__.py`` has the package's name).
    """
    return Summary(path, module)


def link(
    summaries: Sequence[Summary], options: Options, environment: Sequence[Summary] = ()
) -> list[Finding]:
    """Return the findings in the summarised files, sorted by path, line, column and rule.

    Of `environment`, installed packages that the files import, nothing is reported. Pages of
    the options that select rules are obeyed; comments, baselines and per-file ignores are not.
    """
    return []
