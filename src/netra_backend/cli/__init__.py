"""The command ``netra``: one file a command."""

from netra_backend.cli.app import main

__all__ = ["main"]
