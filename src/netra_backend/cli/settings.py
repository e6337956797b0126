"""The settings of a command: those of the directory it runs in, but for what its options say."""

from pathlib import Path
from typing import Any

from netra_backend.config import Settings, load_settings
from netra_backend.errors import ConfigError


def settings_with(data_dir: str | None, file: Path | None = None, **overrides: Any) -> Settings:
    """Return the settings with what ``--data-dir`` says, and the other `overrides`.

    Raises ConfigError as `load_settings` does, and for an empty ``--data-dir``.
    """
    if data_dir == "":
        raise ConfigError("--data-dir is empty")
    if data_dir is not None:
        overrides["data_dir"] = data_dir
    return load_settings(file, **overrides)


def directory_of(data_dir: str | None) -> Path:
    """Return the data directory that ``--data-dir`` names, or else the settings.

    Where it is named, they are not read: who looks at a copy need not have the server's secrets.
    Raises ConfigError as `settings_with` does.
    """
    if not data_dir:
        return settings_with(data_dir).data_dir
    try:
        return Path(data_dir).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"--data-dir: {data_dir} is in no home directory that is known"
        ) from error
