"""The scan in two steps: `summarise` each file on its own, then `link` what they say.

Pure: no file is read, no code imported, nothing executed. A summary depends on nothing but its
three arguments and `VERSION`, so it can be kept by the hash of the source.
"""

import ast
import sys
import warnings
from collections.abc import Sequence

from msgspec import msgpack

from netra_backend.scan.finding import Finding, Severity
from netra_backend.scan.linking import Linker
from netra_backend.scan.modules import Reader, by_base, by_decorator, grouped
from netra_backend.scan.notebook import NoNotebook, Notebook
from netra_backend.scan.options import Options
from netra_backend.scan.sources import Files, Source
from netra_backend.scan.stubs import STUBS
from netra_backend.scan.summary import Summary

__all__ = ["VERSION", "Summary", "link", "summarise"]

VERSION = "1"
"""Changes whenever a summary of the same source would come out different."""

LARGEST = 5_000_000
"""Characters; a larger file is generated, and would cost more than it can show."""


def summarise(path: str, module: str, source: str) -> Summary:
    """Return the summary of one file; never raises, whatever the text.

    `path` is what findings will say, `module` the dotted name under which other files import it
    (a package's ``__init__.py`` has the package's name).
    """
    if len(source) > LARGEST:
        return Summary(path, module, f"has {len(source)} characters; at most {LARGEST} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
        is_package = path.endswith(("__init__.py", "__init__.pyi"))
        package = module if is_package else module.rpartition(".")[0]
        reader = Reader(module, package, source)
        declared = reader.read(tree)
        encode = msgpack.Encoder().encode
        return Summary(
            path,
            module,
            None,
            tuple(dict.fromkeys(reader.file.imported)),
            encode(declared),
            {name: encode(sites) for name, sites in grouped(reader.file.sites).items()},
            by_base(declared) | by_decorator(reader.functions),
        )
    except SyntaxError as error:
        return Summary(path, module, _syntax(error))
    except ValueError as error:
        return Summary(path, module, f"cannot be read as Python: {error}")
    except (RecursionError, MemoryError):
        return Summary(path, module, "is nested too deeply to be read")


def _syntax(error: SyntaxError) -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"is not Python {version}: {error.msg} (line {error.lineno or 1})"


def link(
    summaries: Sequence[Summary],
    options: Options,
    environment: Sequence[Summary] = (),
    notebook: Notebook | None = None,
) -> list[Finding]:
    """Return the findings in the summarised files, sorted by path, line, column and rule.

    Of `environment`, installed packages that the files import, nothing is reported. Of the
    options, `select`, `ignore`, `sinks`, `safe` and `log_encoder` are obeyed, and `notes` when
    they are off; comments, baselines and per-file ignores are the caller's. What `notebook` keeps
    holds for the same `safe` only.
    """
    sources = [Source(s, reported=True) for s in summaries if s.skipped is None]
    sources += [Source(s, reported=False) for s in environment if s.skipped is None]
    linker = Linker(Files(sources, Library()), options, notebook or NoNotebook())
    found = {f for f in linker.findings() if options.enabled(f.rule)}
    if options.notes is False:
        found = {f for f in found if f.severity is not Severity.NOTE}
    return sorted(found, key=_order)


def _order(finding: Finding) -> tuple[str, int, int, str, str]:
    return finding.path, finding.line, finding.column, finding.rule, finding.value_path


class Library:
    """The bundled stubs, summarised when they are asked for."""

    def has(self, module: str) -> bool:
        """Return whether there is a stub of the module."""
        return module in STUBS

    def summary(self, module: str) -> Summary:
        """Return its summary; its path is the module's name in angle brackets."""
        return summarise(f"<{module}>", module, STUBS[module])
