"""Kept keys: the secrets that a server makes for itself, each a file in its data directory."""

import contextlib
import os
import secrets
from pathlib import Path

from netra_backend.errors import ConfigError


def dev_key(data_dir: Path) -> str:
    """Return the development key of the data directory, made when there is none."""
    return kept_key(data_dir / "dev.key")


def kept_key(path: Path) -> str:
    """Return the secret in the file, made when there is none, for its owner only.

    Raises ConfigError.
    """
    try:
        return _kept_key(path)
    except OSError as error:
        named = path if os.path.exists(path) else path.parent  # noqa: PTH110 - it never raises
        why = "not a directory" if isinstance(error, FileExistsError) else error.strerror
        raise ConfigError(f"the data directory cannot be used: {named}: {why}") from error


def _kept_key(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():  # whole from the moment it is there: several workers may come for it
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
        finally:
            fresh.unlink()
    key = path.read_text(encoding="ascii", errors="replace").strip()
    if len(key) < 32 or not key.isascii():
        raise ConfigError(f"{path} is damaged; delete it to have a new one made")
    return key
