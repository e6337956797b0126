"""Kept keys: made once, for their owner only, and never used when they are damaged."""

from pathlib import Path

import pytest

from netra_backend.errors import ConfigError
from netra_backend.server.kept_keys import dev_key


def test_the_development_key_is_made_once_and_kept_to_its_owner(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    key = dev_key(directory)

    assert dev_key(directory) == key
    assert len(key) == 64
    assert (directory / "dev.key").stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("damaged", [b"", b"short", b"a" * 63 + b"\xff"])
def test_a_damaged_development_key_is_an_error_that_says_what_to_do(
    tmp_path: Path, damaged: bytes
) -> None:
    dev_key(tmp_path)
    (tmp_path / "dev.key").write_bytes(damaged)

    with pytest.raises(ConfigError, match=r"dev\.key is damaged; delete it"):
        dev_key(tmp_path)
