"""Keys: which ones can be configured, and what each is good for."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from netra_backend.config import Settings
from netra_backend.errors import ConfigError, Refused
from netra_backend.server.auth import authenticator
from netra_backend.server.keys import public_key
from tests.server.issuer import KINDS, Issuer, claims_of, signed_by_hand

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("algorithm", list(KINDS))
async def test_the_kind_of_a_key_is_its_algorithm(algorithm: str) -> None:
    issuer = Issuer(algorithm)
    auth = authenticator(Settings(auth="jwt", jwt_public_key=issuer.public))

    assert public_key(issuer.public).algorithm == algorithm
    assert (await auth.verify(issuer.token())).id == "alice"
    for other in KINDS:
        with pytest.raises(Refused):
            await auth.verify(Issuer(other).token())
    with pytest.raises(Refused):
        await auth.verify(signed_by_hand({"alg": "HS256"}, claims_of(), issuer.public.encode()))


@pytest.mark.parametrize("named", ["@{folder}/key.pem", "@~/key.pem"])
async def test_a_public_key_may_come_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    issuer = Issuer()
    (tmp_path / "key.pem").write_text(issuer.public)

    auth = authenticator(Settings(auth="jwt", jwt_public_key=named.format(folder=tmp_path)))

    assert (await auth.verify(issuer.token())).id == "alice"


@pytest.fixture(scope="module")
def known() -> Issuer:
    """Return an issuer: to make its key takes a tenth of a second."""
    return Issuer()


def pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    "kind",
    [
        "garbage",
        "blank",
        "private",
        "elliptic",
        "short",
        "ed448",
        "dsa",
        "absent",
        "binary",
        "homeless",
    ],
)
def test_a_key_that_cannot_be_used_is_refused_at_the_start(
    tmp_path: Path, known: Issuer, kind: str
) -> None:
    binary = tmp_path / "binary.pem"
    binary.write_bytes(b"\xff\x00")
    value = {
        "garbage": lambda: "hello",
        "blank": lambda: " ",
        "private": lambda: known.private,
        "elliptic": lambda: pem(ec.generate_private_key(ec.SECP384R1())),
        "short": lambda: pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - that is the point
        "ed448": lambda: pem(ed448.Ed448PrivateKey.generate()),
        "dsa": lambda: pem(dsa.generate_private_key(2048)),
        "absent": lambda: f"@{tmp_path / 'absent.pem'}",
        "binary": lambda: f"@{binary}",
        "homeless": lambda: "@~nobody-of-this-name/key.pem",
    }[kind]()

    with pytest.raises(ConfigError, match="jwt_public_key") as error:
        authenticator(Settings(auth="jwt", jwt_public_key=value))

    assert known.private[30:80] not in str(error.value)
