"""The command line's root: collects the commands and turns our errors into one clear line."""

import sys

import typer

from netra_backend.cli import replay, serve, tail, token
from netra_backend.errors import NetraError

app = typer.Typer(
    name="netra",
    help="Run AI agents and deliver what they do, live and durably.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("tail")(tail.tail)
app.command("replay")(replay.replay)
app.command("token")(token.token)


def main() -> None:
    """Run the command; an error of ours is one line on stderr and exit code 2."""
    try:
        app()
    except NetraError as error:
        typer.secho(f"netra: {error}", err=True, fg=typer.colors.RED)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
