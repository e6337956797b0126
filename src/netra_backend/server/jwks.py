"""Key sets: the public keys that an issuer publishes at one configured URL (RFC 7517).

The URL comes from the settings and never from a token. A key that is not known makes us look
again, but not more often than `PAUSE` allows: tokens with made-up key ids cost an issuer nothing.
"""

import asyncio
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import IO, Any, NoReturn
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt
import msgspec

from netra_backend import jsonlog
from netra_backend.server.keys import Key, algorithm_of

log = jsonlog.get_logger(__name__)

MAX_AGE = 3_600.0
"""Seconds after which the keys are looked up again: an issuer may have withdrawn one."""
PAUSE = 30.0
"""Seconds between two look-ups at least, whatever the tokens say."""
RETRY = 3.0
"""The same after one that failed."""
TIMEOUT = 5.0
"""Seconds that a request waits for an issuer; what takes longer counts when it has come."""
LONGEST = 30.0
"""Seconds after which an answer is given up that comes little by little."""
MAX_BYTES = 1_048_576


class _Member(msgspec.Struct):
    """What decides whether a key of a set is ours to use; the rest is the library's."""

    kty: str
    kid: str | None = None
    use: str | None = None
    alg: str | None = None
    key_ops: list[str] | None = None

    @property
    def verifies(self) -> bool:
        """Whether it is there to verify signatures with, which a shared secret is not for us."""
        return (
            self.kty != "oct"
            and self.use in (None, "sig")
            and (self.key_ops is None or "verify" in self.key_ops)
        )


class KeySet:
    """The keys of one issuer. While it cannot be reached, those that it gave last count."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._loaded = -MAX_AGE
        self._next = -MAX_AGE
        self._failing = False
        self._asking: asyncio.Task[None] | None = None

    async def find(self, id: str | None, algorithm: str) -> Key | None:
        """Return the key with this id and algorithm; without an id, the only one of that algorithm.

        Looks the keys up when they are old, or when this one is not among them. Who has one of an
        issuer that failed last time does not wait for the next time.
        """
        key = self._known(id, algorithm)
        if key is not None and self._clock() - self._loaded < MAX_AGE:
            return key
        # Whoever waited finds what the one before has brought, or that it was just tried.
        if self._asking is None and self._clock() >= self._next:
            self._asking = asyncio.create_task(self._load(), name="ask an issuer for its keys")
        if self._asking is not None and not (key is not None and self._failing):
            done, _ = await asyncio.wait({self._asking}, timeout=TIMEOUT)
            self._failing = self._failing or not done
        return self._known(id, algorithm)

    def _known(self, id: str | None, algorithm: str) -> Key | None:
        fit = [key for key in self._keys if key.algorithm == algorithm and id in (None, key.id)]
        return fit[0] if len(fit) == 1 else None

    async def _load(self) -> None:
        """Ask the issuer. However long it takes, it is asked once at a time."""
        try:
            self._keys = keys_of(await asyncio.to_thread(_fetch, self._url))
        except (OSError, HTTPException, ValueError):
            self._failing = True
            self._next = self._clock() + RETRY
            log.exception("the keys of an issuer cannot be had")
        else:
            self._failing = False
            self._loaded = self._clock()
            self._next = self._loaded + PAUSE
            log.info("keys of an issuer", extra={"ids": [key.id for key in self._keys]})
        finally:
            self._asking = None


def keys_of(document: bytes) -> tuple[Key, ...]:
    """Return the keys of a set that we can verify with; others, and shared secrets, are left out.

    Raises ValueError for what is no key set.
    """
    try:
        members = msgspec.json.decode(document, type=dict[str, Any])["keys"]
        return tuple(key for member in list(members) if (key := _key(member)) is not None)
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"this is no key set: {error}") from error


def _key(member: Any) -> Key | None:
    try:
        about = msgspec.convert(member, _Member)
        if not about.verifies:
            return None
        value = jwt.PyJWK(member).key
    except (msgspec.ValidationError, jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    algorithm = algorithm_of(value)
    # A key that is published for another algorithm is for no other (RFC 8725 section 3.1).
    if algorithm is None or about.alg not in (None, algorithm):
        return None
    return Key(algorithm, value, about.kid)


class _NoRedirect(HTTPRedirectHandler):
    """Takes an answer only from the URL that was configured."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> NoReturn:
        raise HTTPError(req.full_url, code, "the issuer redirects elsewhere", headers, fp)


def _fetch(url: str) -> bytes:
    """Return what the URL answers. Raises OSError, and HTTPException for what is no HTTP."""
    request = Request(url, headers={"Accept": "application/json"})  # noqa: S310 - by the settings
    body = bytearray()
    until = time.monotonic() + LONGEST
    with build_opener(_NoRedirect).open(request, timeout=TIMEOUT) as answer:
        while part := answer.read1(65_536):
            body += part
            if len(body) > MAX_BYTES:
                raise OSError(f"more than {MAX_BYTES} bytes")
            if time.monotonic() > until:
                raise TimeoutError(f"the answer takes more than {LONGEST:.0f} seconds")
    return bytes(body)
