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
