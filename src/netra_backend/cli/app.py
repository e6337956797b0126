"""The command line's root: loads only the command that is asked for, and words our errors."""

import gc
import os
import sys

from netra_backend.cli.output import ReaderGone, guard, wants_colour
from netra_backend.errors import NetraError


def main() -> None:
    """Run the command; an error of ours is one line on stderr and exit code 2."""
    guard()
    try:
        code = _run_and_tell(sys.argv[1:])
    finally:  # also where typer exits
        # Python's last act is to look for garbage in all that there is: a sixth of the CPU time of
        # `netra token`, and up to a quarter of a second of what a stopped server has to end in.
        gc.freeze()
    if sys.argv[1:2] == ["scan"]:
        os._exit(code)  # all is written, and to take down what a scan has built up takes longer
    sys.exit(code)


def _run_and_tell(arguments: list[str]) -> int:
    """Run the command, print all that it has said or what is wrong, and return the exit code."""
    try:
        try:
            return run(arguments)
        finally:  # also where typer or argparse exits
            sys.stdout.flush()
    except ReaderGone:
        return 1
    except NetraError as error:
        colour = ("\x1b[31m", "\x1b[0m") if wants_colour(sys.stderr) else ("", "")
        sys.stderr.write(f"{colour[0]}netra: {error}{colour[1]}\n")
        sys.stderr.flush()
        return 2
    except KeyboardInterrupt:
        return 130


def run(arguments: list[str]) -> int:
    """Run the command with its arguments, and return the exit code.

    ``netra scan`` has a parser of its own: importing typer takes as long as scanning a file.
    """
    if arguments[:1] == ["scan"]:
        gc.set_threshold(200_000, 20, 100)  # a scan makes no cycles worth looking for
        _import_msgspec_alone()
        from netra_backend.cli.scan import scan  # noqa: PLC0415 - the others do not need it

        return scan(arguments[1:])
    from netra_backend.cli.commands import run_typer  # noqa: PLC0415 - see above

    return run_typer(arguments)


def _import_msgspec_alone() -> None:
    """Import msgspec without typing_extensions, a fifteenth of the time that one file takes.

    Of that it wants what `typing` has since Python 3.11, and takes it from there instead.
    """
    if "typing_extensions" in sys.modules:
        return
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]  # absent, for an import
    try:
        import msgspec  # noqa: F401, PLC0415
    finally:
        del sys.modules["typing_extensions"]
