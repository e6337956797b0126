"""Tokens: JSON Web Tokens, and what makes one believable (RFC 7519, RFC 8725)."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import jwt

from netra_backend.core.ids import MAX_ID_LENGTH, UserId, parse_id
from netra_backend.errors import ErrorCode, FrameError, Refused
from netra_backend.server.jwks import KeySet
from netra_backend.server.keys import Key
from netra_backend.server.user import User

LAST_SECOND = 253_402_300_799
"""The end of the year 9999: a credential that ends later is treated as if it ended then."""

MAX_VERIFIED = 10_000
"""Valid tokens that are remembered."""

MAX_HEAD = 256
"""Characters of a token's head that is remembered."""


class Tokens:
    """Verifies tokens with keys that are configured, each good for its own algorithm only.

    A token of an issuer in `published` is verified with the keys which that issuer publishes;
    every other with `keys`. What else a token's header says about keys (``jwk``, ``jku``,
    ``x5u``, ``x5c``) is not looked at, and one that lists ``crit`` is refused: we know no such
    extension. One that is for an audience is refused without an `audience`: it may be for another
    application of the same issuer (RFC 7519 section 4.1.3).
    """

    def __init__(
        self,
        keys: Sequence[Key],
        *,
        published: Mapping[str, KeySet] | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        admin_claim: str | None = None,
    ) -> None:
        self._keys = {key.algorithm: key for key in keys}
        self._published = published or {}
        self._audience = audience
        self._issuer = issuer
        self._admin_claim = admin_claim
        self._verified: dict[bytes, User] = {}

    async def verify(self, token: str, *, require_expiry: bool = True) -> User:
        """Return whose token this is. Raises Refused (``unauthenticated``) without its text.

        Of the newest `MAX_VERIFIED` valid tokens a digest is remembered, which counts until they
        expire: after a restart everybody comes again at once. Not where keys are published,
        because those may be withdrawn.
        """
        user = self.known(token, require_expiry=require_expiry)
        if user is not None:
            return user
        with _refusing(token):
            key, issuer = await self._published_key(token)
            return self._judged(token, key, issuer, require_expiry=require_expiry)

    def known(self, token: str, *, require_expiry: bool = True) -> User | None:
        """Return what `verify` does, None where keys are published: they may have to be fetched.

        Whether a token that is remembered has ended is looked at each time. Raises as `verify`.
        """
        if self._published:
            return None
        given = token.encode(errors="surrogatepass")
        digest = blake2b(given, digest_size=32, key=bytes([require_expiry])).digest()
        user = self._verified.get(digest)
        if user is not None and (user.expires is None or time.time() < user.expires):
            return user
        with _refusing(token):
            key = self._keys.get(_signed_by(token))
            user = self._judged(token, key, self._issuer, require_expiry=require_expiry)
        while len(self._verified) >= MAX_VERIFIED:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = user
        return user

    def _judged(
        self, token: str, key: Key | None, issuer: str | None, *, require_expiry: bool
    ) -> User:
        """Return whose token this is by the key. Raises PyJWTError and FrameError."""
        if key is None:
            raise jwt.InvalidAlgorithmError("there is no such key, or not for this algorithm")
        try:
            claims = jwt.decode(
                token,
                key.value,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=issuer,
                options={"require": ["sub", "exp"] if require_expiry else ["sub"]},
            )
            return self._user(claims)
        except jwt.InvalidAudienceError as error:
            if self._audience is not None:
                raise
            why = "the token is for an audience, and jwt_audience names none"
            raise jwt.InvalidAudienceError(why) from error
        except (OverflowError, TypeError, ValueError) as error:  # the library makes ints of them
            raise jwt.DecodeError("a claim that is a time has no time") from error

    def _user(self, claims: dict[str, Any]) -> User:
        """Return whom the claims name. A token that does not say when it was issued is an old one.

        Raises FrameError if the name is no id.
        """
        return User(
            UserId(parse_id("sub", claims["sub"])),
            expires=_seconds(claims.get("exp")),
            issued=float(claims.get("iat", 0)),
            admin=self._admin_claim is not None and claims.get(self._admin_claim) is True,
        )

    async def _published_key(self, token: str) -> tuple[Key | None, str | None]:
        """Return the key for the token, and the issuer it must then be from. Raises PyJWTError."""
        header = jwt.get_unverified_header(token)
        algorithm = _algorithm(header)
        claimed = _claimed_issuer(token)
        published = self._published.get(claimed)
        if published is None:
            return self._keys.get(algorithm), self._issuer
        return await published.find(header.get("kid"), algorithm), claimed


def _signed_by(token: str) -> str:
    """Return how the token says that it is signed. Raises PyJWTError.

    The heads of an issuer's tokens are all alike, letter by letter.
    """
    head = token.partition(".")[0]
    return (_algorithm_in if len(head) <= MAX_HEAD else _algorithm_in.__wrapped__)(head)


@lru_cache(maxsize=64)
def _algorithm_in(head: str) -> str:
    """Return what a token's head alone says; the rest of the token is looked at afterwards."""
    return _algorithm(jwt.get_unverified_header(f"{head}.."))


def _algorithm(header: dict[str, Any]) -> str:
    """Return how the token says that it is signed. Raises PyJWTError."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or "crit" in header:
        raise jwt.InvalidAlgorithmError("no algorithm, or an extension that is not known")
    return algorithm


def _claimed_issuer(token: str) -> str:
    """Return who the token says has issued it: which keys to try, nothing more."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) else ""


@contextmanager
def _refusing(token: str) -> Iterator[None]:
    """Raise Refused for whatever makes the token not valid."""
    try:
        yield
    except jwt.ExpiredSignatureError as error:
        raise Refused(ErrorCode.UNAUTHENTICATED, "the token has expired") from error
    except (jwt.PyJWTError, FrameError, RecursionError) as error:
        message, about = "the token is not valid", _about(error, token)
        raise Refused(ErrorCode.UNAUTHENTICATED, message, **about) from error


def _about(error: Exception, token: str) -> dict[str, str]:
    """Return what the log says of a token that is not valid: no part of it but how it is signed."""
    if isinstance(error, FrameError):
        cause = "sub is no id"
    elif isinstance(error, RecursionError):
        cause = "it is nested too deep"
    else:
        cause = str(error)
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, RecursionError):
        header = {}
    named = {name: header.get(field) for name, field in (("algorithm", "alg"), ("key_id", "kid"))}
    told = {name: text[:MAX_ID_LENGTH] for name, text in named.items() if isinstance(text, str)}
    return {"cause": cause, **told}


def _seconds(claim: float | str | None) -> int | None:
    """Return a NumericDate as whole seconds: it may have a fraction (RFC 7519 section 2)."""
    return None if claim is None else min(int(claim), LAST_SECOND)
