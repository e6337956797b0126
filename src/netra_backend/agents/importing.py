"""Importing: a user's module by its name, and one sentence when that cannot be.

What a module does while it is imported is foreign code, as what an agent does in a run: whatever it
raises is told with the place in the user's own code, and without a frame of ours.
"""

import ast
import importlib
import linecache
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from netra_backend.agents.frameworks import extra_of, missing_extra, needs
from netra_backend.errors import ConfigError

_IMPORTERS = ("<frozen importlib", importlib.__file__, __file__)
"""How the files begin whose frames import, and say nothing of what is imported."""

INSTALLED = (
    "<frozen",
    str(Path(__file__).parents[1]),
    *map(sysconfig.get_path, ("stdlib", "platlib", "purelib")),
)
"""How the files begin of code that the user has not written, ours among it."""


def user_module(spec: str, name: str) -> ModuleType:
    """Return the module `name`, which `spec` is about; the current directory is looked in first.

    Raises ConfigError: what is missing and how to install it, or what the module raised and where,
    with the frames of the user's own code.
    """
    if not all(part.isidentifier() for part in name.split(".")) or name.endswith(".py"):
        guess = name.removesuffix(".py").strip("./").replace("/", ".").replace("\\", ".")
        raise ConfigError(f"{spec}: {name!r} is no module name; write {guess}:ATTRIBUTE.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(_missing(spec, name, error)) from error
    except (Exception, SystemExit) as error:
        # The border around one import: a module may raise anything, and exit, too.
        raise ConfigError(_broken(spec, name, error)) from error


def _missing(spec: str, name: str, error: ImportError) -> str:
    missing = error.name or ""
    if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{missing}."):
        return (
            f"{spec}: there is no module {missing!r} in {Path.cwd()} or among the installed "
            "packages."
        )
    extra = missing_extra(error, list(_asked(error)))
    if extra is None:
        return _broken(spec, name, error)
    incomplete = "." in missing and extra_of(missing.partition(".")[0]) is not None
    return needs(spec, extra) + (f" ({error})" if incomplete else "")


def _asked(error: ImportError) -> Iterator[str]:
    """Yield the names of the modules, or of what may be some, that the failing statement asks for.

    The error names only the first part that was not there.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _imports(frame)]
    if not frames or frames[-1].lineno is None:
        return
    try:
        statements = ast.parse("".join(linecache.getlines(frames[-1].filename)))
    except (SyntaxError, ValueError):  # of another language, such as Cython's
        return
    for node in ast.walk(statements):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if node.lineno <= frames[-1].lineno <= (node.end_lineno or node.lineno):
            within = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            yield from (f"{within}{alias.name}" for alias in node.names)


def _broken(spec: str, name: str, error: BaseException) -> str:
    told = traceback.TracebackException.from_exception(error)
    _keep_theirs(told)
    # What is indented shows the line of a SyntaxError.
    raised = next(line for line in told.format_exception_only() if not line.startswith(" "))
    what = raised.splitlines()[0]
    shown = "".join(told.format()).rstrip()
    return f"{spec}: {name!r} cannot be imported: {_place(told)}{what}\n{shown}"


def _place(told: traceback.TracebackException) -> str:
    if getattr(told, "filename", None) and getattr(told, "lineno", None):  # a SyntaxError's
        return f"{told.filename}, line {told.lineno}: "
    return f"{told.stack[-1].filename}, line {told.stack[-1].lineno}: " if told.stack else ""


def _keep_theirs(told: traceback.TracebackException) -> None:
    """Leave the frames of the user's own code, in what led to it, too; of others if it has none."""
    frames = [frame for frame in told.stack if not _imports(frame)]
    own = [frame for frame in frames if not frame.filename.startswith(INSTALLED)]
    told.stack[:] = own or frames
    for other in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if other is not None:
            _keep_theirs(other)


def _imports(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith(_IMPORTERS)
