"""Keys: what a token's signature may be verified with, and the one algorithm of each.

The kind of a key pins its algorithm (RFC 8725 section 3.1), so no header of a token can make a
public key into a shared secret.
"""

from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct

from netra_backend.errors import ConfigError

MIN_RSA_BITS = 2_048
"""RFC 7518 section 3.3."""


class Key(Struct, frozen=True):
    """A key and its algorithm; `id` is the ``kid`` under which an issuer publishes it."""

    algorithm: str
    value: Any
    id: str | None = None


def algorithm_of(key: object) -> str | None:
    """Return the algorithm that a public key is good for, or None if we take no such key."""
    if isinstance(key, RSAPublicKey):
        return "RS256" if key.key_size >= MIN_RSA_BITS else None
    if isinstance(key, EllipticCurvePublicKey):
        return "ES256" if isinstance(key.curve, SECP256R1) else None
    return "EdDSA" if isinstance(key, Ed25519PublicKey) else None


def secret_key(secret: str) -> Key:
    """Return the key for HS256."""
    return Key("HS256", secret)


def public_key(pem: str) -> Key:
    """Return the public key that the PEM text holds. Raises ConfigError."""
    try:
        value = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"jwt_public_key cannot be read: {error}") from error
    algorithm = algorithm_of(value)
    if algorithm is None:
        raise ConfigError(
            "jwt_public_key is no key for RS256 (RSA of 2048 bits or more), ES256 (P-256) or "
            "EdDSA (Ed25519)"
        )
    return Key(algorithm, value)
