"""The commands that typer parses, each loaded when it is asked for."""

import shutil
from importlib import import_module
from typing import Annotated

import typer
from typer.main import get_command

import netra_backend

COMMANDS = ("serve", "tail", "replay", "token", "check")
"""Each is a function of this name in a module of this name."""

BOXED_WIDTH = 60
"""Columns from which on the boxes of a help text leave the options room enough to be read."""


def run_typer(arguments: list[str]) -> int:
    """Run one of the commands, or tell of all of them; return the exit code."""
    named = arguments[:1]
    app = make_app(tuple(named) if named and named[0] in COMMANDS else COMMANDS)
    # Not by `app` itself, which has uncaught exceptions printed, also those that the log has.
    code = get_command(app)(arguments, prog_name="netra", standalone_mode=True)
    return code if isinstance(code, int) else 0


def make_app(names: tuple[str, ...]) -> typer.Typer:
    """Return the application with these commands, and ``scan`` in its help."""
    is_wide = shutil.get_terminal_size().columns >= BOXED_WIDTH
    app = typer.Typer(
        name="netra",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich" if is_wide else None,
    )
    app.callback(help="Run AI agents and deliver what they do, live and durably.")(_root)
    for name in names:
        app.command(name)(getattr(import_module(f"netra_backend.cli.{name}"), name))
    app.command("scan", help="Find values that JSON refuses before they are logged or sent.")(
        _nothing
    )
    return app


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"netra {netra_backend.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def _nothing() -> None:
    """Do nothing: `netra scan` never comes here."""
