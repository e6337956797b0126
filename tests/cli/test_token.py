"""``netra token``."""

import time
from pathlib import Path

import jwt
import pytest
from pydantic import SecretStr

from netra_backend.cli.token import make_token
from netra_backend.config import AuthMode, Settings
from netra_backend.errors import ConfigError
from netra_backend.server.auth import authenticator
from netra_backend.server.kept_keys import dev_key
from tests.cli.conftest import Netra
from tests.live import BOUND

pytestmark = pytest.mark.anyio

SECRET = "a secret that is long enough for HS256"


async def test_a_development_token_is_what_the_server_takes(
    netra: Netra, installed: Netra, tmp_path: Path
) -> None:
    early = netra("token", "alice", "--data-dir", str(tmp_path / "data"))
    assert early.returncode == 2
    assert "start the server there first" in early.stderr
    assert "--token" not in early.stderr  # the command has no such option
    assert not (tmp_path / "data").exists()
    dev_key(tmp_path / "data")
    done = installed("token", "alice", "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    user = await authenticator(Settings(data_dir=tmp_path / "data")).verify(done.stdout.strip())
    assert user.id == "alice"


def test_a_data_directory_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match=f"{file} is no directory"):
        make_token(Settings(data_dir=file), "alice")
    for wrong in (file, file / "data"):
        with pytest.raises(ConfigError, match=f"data directory cannot be used: {wrong}: [Nn]ot a"):
            dev_key(wrong)


async def test_a_jwt_token_has_the_configured_claims(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        auth=AuthMode.JWT,
        jwt_secret=SecretStr(SECRET),
        jwt_audience="chat",
        jwt_issuer="me",
    )
    token = make_token(settings, "alice")
    assert (await authenticator(settings).verify(token)).id == "alice"
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="chat", issuer="me")
    assert claims["sub"] == "alice"


async def test_the_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a-secret-that-is-mounted-as-a-file"
    file.write_text(f"{SECRET}\n")
    settings = Settings(data_dir=tmp_path, auth=AuthMode.JWT, jwt_secret=SecretStr(f"@{file}"))
    token = make_token(settings, "alice")
    assert jwt.decode(token, SECRET, algorithms=["HS256"])["sub"] == "alice"
    assert (await authenticator(settings).verify(token)).id == "alice"


def test_a_file_that_has_no_secret_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a-secret-that-is-mounted-as-a-file"
    settings = Settings(data_dir=tmp_path, auth=AuthMode.JWT, jwt_secret=SecretStr(f"@{file}"))
    with pytest.raises(ConfigError, match=rf"jwt_secret cannot be read: .*{file}"):
        make_token(settings, "alice")
    file.write_text(f"{SECRET[:31]}\n")
    with pytest.raises(ConfigError, match=rf"jwt_secret \(@{file}\): it must have at least 32"):
        authenticator(settings)


@pytest.mark.parametrize("kind", ["PUBLIC KEY", "CERTIFICATE"])
def test_what_anybody_may_know_is_no_secret(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "key.pem"
    file.write_text(f"-----BEGIN {kind}-----\n{SECRET}\n-----END {kind}-----\n")
    for setting in (f"@{file}", file.read_text()):
        settings = Settings(data_dir=tmp_path, auth=AuthMode.JWT, jwt_secret=SecretStr(setting))
        for use in (authenticator, lambda settings: make_token(settings, "alice")):
            with pytest.raises(ConfigError, match="jwt_secret is a key or certificate in PEM"):
                use(settings)


async def test_a_token_is_good_after_a_revocation(tmp_path: Path) -> None:
    """It says when it was issued: one that does not is older than every revocation."""
    settings = Settings(data_dir=tmp_path, auth=AuthMode.JWT, jwt_secret=SecretStr(SECRET))
    user = await authenticator(settings).verify(make_token(settings, "alice"))
    assert user.issued is not None
    assert abs(user.issued - time.time()) < BOUND


def test_only_an_issuer_signs_rs256(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, auth=AuthMode.JWT, jwt_public_key="a public key")
    with pytest.raises(ConfigError, match="identity provider"):
        make_token(settings, "alice")


def test_a_name_that_is_no_id_is_refused(netra: Netra) -> None:
    done = netra("token", "no/slash")
    assert done.returncode == 2
    assert "user is 'no/slash'" in done.stderr
