"""The table of names under which values are secrets, with the reason for each entry.

A secret that leaks is worse than a text that is lost, so a word that mostly names secrets counts
wherever it stands; one that as often names a setting counts only as the last. What is known to be
none (the cursor of a page, how many there are) is told apart by the whole name, or by the value.
"""

import functools
import re

from netra_backend.jsonlog.shapes import KEYS

MAX_NAME = 256
"""Characters of a name that are looked at."""

ANYWHERE = {
    "authorization": "the header of HTTP (RFC 9110 section 11.6.2), also Proxy-Authorization",
    "cookie": "the headers of RFC 6265, and dicts of their values",
    "credential": "cloud SDKs and database drivers",
    "passphrase": "of private keys",
    "passwd": "database drivers",
    "password": "everywhere",
    "pwd": "connection strings",
    "secret": "OAuth's client_secret, Kubernetes, signing keys",
    "token": "OAuth's access_token and refresh_token, X-CSRF-Token, device and reset tokens",
}
"""Words that make any name a secret's: ``db_password_old``. Also in the plural."""

LAST = {
    "auth": "the pair or header that HTTP clients take; auth_mode and auth_url say how and where",
    "bearer": "RFC 6750",
    "csrf": "the value of a form; csrf_enabled is a setting",
    "jsessionid": "the cookie of servlets",
    "jwt": "RFC 7519; jwt_issuer and jwt_audience are settings",
    "otp": "a one-time password, also as a number",
    "passcode": "a one-time password",
    "phpsessid": "the cookie of PHP",
    "sessionid": "the cookie of Django; session_id is how agents name a conversation",
    "totp": "RFC 6238",
    "xsrf": "Angular's word for csrf",
}
"""Words that do so at the end of a name: ``user_jwt``."""

ENDINGS = {
    **{word: "written together: clientsecret" for word in ANYWHERE if word != "pwd"},
    "otpcode": "otp_code",
}
"""What a name ends with, without what parts its words."""

HARMLESS = {
    "authorizationendpoint": "where to ask for one: RFC 8414 section 2",
    "authorizationurl": "the same, as OpenAPI calls it",
    "bostoken": "the mark of a tokenizer for where a text begins",
    "continuationtoken": "a page of Azure and S3",
    "eostoken": "the mark of a tokenizer for where a text ends",
    "nextcontinuationtoken": "the next page of S3",
    "nextpagetoken": "the next page of Google's APIs",
    "nexttoken": "the next page of AWS",
    "padtoken": "the mark of a tokenizer for where there is no text",
    "pagetoken": "a page of Google's APIs",
    "paginationtoken": "a page of AWS",
    "specialtoken": "the marks of a tokenizer",
    "stoptoken": "where a model is to end",
    "tokenendpoint": "where one gets them: RFC 8414 section 2",
    "tokenuri": "the same, in Google's service accounts",
    "tokenurl": "the same, as OpenAPI calls it",
    "unktoken": "the mark of a tokenizer for what it does not know",
}
"""Whole names, without what parts their words, under which none is: without them one cannot page.

A value of such a shape is a secret here as everywhere.
"""

DESCRIPTIONS = {
    "algorithm": "token_algorithm",
    "arn": "secret_arn, AWS's name of one",
    "at": "password_changed_at, tokenExpiresAt",
    "audience": "token_audience",
    "consent": "cookie_consent",
    "domain": "cookie_domain",
    "file": "password_file, where containers find one",
    "issuer": "token_issuer",
    "name": "cookie_name, secret_name",
    "path": "cookie_path",
    "policy": "password_policy, cookie_policy",
    "provider": "credential_provider",
    "samesite": "cookie_samesite",
    "scope": "token_scope",
    "scopes": "token_scopes",
    "source": "token_source",
    "status": "password_status",
    "strength": "password_strength",
    "type": "token_type of RFC 6749 section 5.1",
}
"""Words at the end of a name of what only describes a secret: which kind, whose, where it is."""

COUNTS = {
    "age": "cookie_max_age",
    "cost": "token_cost",
    "count": "cookie_count",
    "index": "token_index",
    "length": "token_length",
    "limit": "token_limit",
    "seconds": "token_seconds",
    "size": "cookie_size",
    "ttl": "token_ttl",
    "version": "secret_version",
}
"""Words that say of a number what it counts. A number under any other secret's name is one."""

COUNTS_OF_TOKENS = {
    "budget": "token_budget",
    "details": "prompt_token_details, of numbers; password_details may hold a PIN",
    "expires": "token_expires_in",
    "first": "time_to_first_token",
    "id": "eos_token_id, and the number of a row",
    "ids": "token_ids and token_type_ids, which a tokenizer makes of a text",
    "latency": "inter_token_latency",
    "lifetime": "token_lifetime",
    "max": "max_token",
    "ms": "first_token_ms",
    "num": "num_token",
    "offset": "token_offset",
    "output": "time_per_output_token",
    "rate": "token_rate",
    "total": "token_total; credential_total may be one",
    "usage": "token_usage, of numbers",
}
"""Words that do so only beside ``token``: a model counts tokens, other secrets are had, not used.

A name in the plural needs none of them: total_tokens, totaltokens.
"""

_KEYS = tuple(f"{kind}key" for kind in KEYS)
_ENDINGS = tuple(ENDINGS)
_SPLIT = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def is_secret_name(name: str) -> bool:
    """Return whether what stands under the name is a secret: ``x-api-key``, ``accessToken``."""
    return _is_secret(name[:MAX_NAME])


def names_a_count(name: str) -> bool:
    """Return whether a number under a secret's name only counts: ``cookie_count``.

    So do lists and dicts of nothing but numbers.
    """
    words = _words(name[:MAX_NAME])
    if any(word.endswith("tokens") for word in words) or not COUNTS.keys().isdisjoint(words[-2:]):
        return True
    return "token" in words and not COUNTS_OF_TOKENS.keys().isdisjoint(words[-2:])


@functools.lru_cache(maxsize=1_024)
def _is_secret(name: str) -> bool:
    words = _words(name)
    squeezed = "".join(words).removesuffix("s")
    if squeezed in HARMLESS or (words and words[-1] in DESCRIPTIONS):
        return False
    return (
        not ANYWHERE.keys().isdisjoint(word.removesuffix("s") for word in words)
        or (bool(words) and words[-1].removesuffix("s") in LAST)
        or squeezed.endswith(_ENDINGS)
        or any(key in squeezed for key in _KEYS)
    )


@functools.lru_cache(maxsize=1_024)
def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _SPLIT.findall(name))
