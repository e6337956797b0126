"""An issuer of tokens for tests: good ones, and ones that no library would make."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

SECRET = "s3cret-of-the-issuer-0123456789abcdef"

KINDS = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class Issuer:
    """A key pair, and what can be made with it."""

    def __init__(self, algorithm: str = "RS256", key: Any = None) -> None:
        self.algorithm = algorithm
        self.key = KINDS[algorithm]() if key is None else key
        self.private = self.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()
        self.public = (
            self.key.public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def token(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        return jwt.encode(claims_of(**claims), self.key, algorithm=self.algorithm, headers=headers)

    def published(self, id: str | None = None) -> dict[str, Any]:
        """Return the public key as a member of a key set."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        member = json.loads(algorithm.to_jwk(self.key.public_key()))
        return member if id is None else {**member, "kid": id}


def claims_of(**claims: Any) -> dict[str, Any]:
    """Return good claims, with `claims` over them; a claim of None is left out."""
    every = {"sub": "alice", "exp": int(time.time()) + 600, **claims}
    return {name: value for name, value in every.items() if value is not None}


def hs256(key: str = SECRET, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    return jwt.encode(claims_of(**claims), key, algorithm="HS256", headers=headers)


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed_by_hand(header: Any, claims: Any, key: bytes) -> str:
    """Return a token that no library would make: any header, signed with HMAC-SHA256."""
    text = f"{encoded(header)}.{encoded(claims)}"
    return f"{text}.{encoded(hmac.new(key, text.encode(), hashlib.sha256).digest())}"
