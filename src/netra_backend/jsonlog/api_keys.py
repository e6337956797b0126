"""API keys of services that mark them by how they begin, so that scanners like this find them.

The marks are published: by GitHub, GitLab, npm, PyPI, Slack, Stripe, Hugging Face, SendGrid,
DigitalOcean, Docker, Shopify, Square, Vault and age in their documentation of tokens, by AWS in its
reference of unique identifiers, by Google, OpenAI, Anthropic, Groq, xAI, Perplexity, Replicate,
Linear, NVIDIA, Tavily, Pinecone and LangSmith in the examples of theirs. They are case-sensitive.
"""

import re
from typing import NamedTuple

SHORTEST = 14
"""Characters that a key has at least, mark and all."""


class Mark(NamedTuple):
    """How keys of one kind begin, and what follows."""

    begin: str
    rest: re.Pattern[str]
    alone: bool = False
    """Whether a letter or digit before it makes it a part of some word: ``ta`` before ``sk-``."""


_WORD = re.compile(r"[A-Za-z0-9_-]{16,}+")
_LONG_WORD = re.compile(r"[A-Za-z0-9_-]{24,}+")
_LETTERS = re.compile(r"[A-Za-z0-9]{30,}+")
_GITHUB = re.compile(r"[A-Za-z0-9_]{16,}+")
_AWS = re.compile(r"[A-Z0-9]{12,}+")
_STRIPE = re.compile(r"[A-Za-z0-9]{8,}+")

MARKS = (
    Mark("sk-", _WORD, alone=True),  # OpenAI, Anthropic and those who do as they do
    Mark("sk_live_", _STRIPE),
    Mark("sk_test_", _STRIPE, alone=True),
    Mark("rk_live_", _STRIPE, alone=True),
    Mark("rk_test_", _STRIPE, alone=True),
    Mark("whsec_", re.compile(r"[A-Za-z0-9+/=]{16,}+")),
    *(Mark(f"gh{kind}_", _GITHUB) for kind in "pousr"),
    Mark("github_pat_", _GITHUB),
    Mark("glpat-", re.compile(r"[A-Za-z0-9_.-]{16,}+")),
    Mark("AKIA", _AWS, alone=True),
    Mark("ASIA", _AWS, alone=True),
    Mark("AIza", re.compile(r"[A-Za-z0-9_-]{30,}+")),
    Mark("xox", re.compile(r"[a-z]-[A-Za-z0-9-]{10,}+")),
    Mark("xapp-", re.compile(r"[A-Za-z0-9-]{10,}+")),
    Mark("hooks.slack.com/services/", re.compile(r"[A-Za-z0-9/]{16,}+")),
    Mark("npm_", _LETTERS),
    Mark("pypi-", re.compile(r"(?:Ag[A-Za-z0-9_-]{14,}+|[A-Za-z0-9_-]{40,}+)")),
    Mark("hf_", _LETTERS),
    Mark("SG.", re.compile(r"[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+"), alone=True),
    Mark("dop_v1_", _LETTERS),
    Mark("dckr_pat_", _WORD),
    *(Mark(f"shp{kind}_", _LETTERS) for kind in ("at", "ca", "pa", "ss")),
    *(Mark(f"sq0{kind}-", _WORD) for kind in ("atp", "csp")),
    Mark("hvs.", _WORD, alone=True),
    Mark("ya29.", _WORD, alone=True),
    Mark("GOCSPX-", _WORD),
    Mark("AGE-SECRET-KEY-1", re.compile(r"[A-Z0-9]{16,}+")),
    Mark("gsk_", _LETTERS, alone=True),
    Mark("xai-", _LETTERS, alone=True),
    Mark("pplx-", _LETTERS, alone=True),
    Mark("r8_", _LETTERS, alone=True),
    Mark("lin_api_", _LETTERS),
    Mark("nvapi-", _LONG_WORD),
    Mark("tvly-", _LONG_WORD, alone=True),
    Mark("pcsk_", _GITHUB, alone=True),
    Mark("lsv2_", re.compile(r"(?:pt|sk)_[A-Za-z0-9_]{16,}+")),
)


def has_no_mark(text: str) -> bool:
    """Return whether there is surely no key in a text: a quick look, for texts that are short."""
    if "-" in text and (
        "sk-" in text
        or "pat-" in text
        or "app-" in text
        or "pypi-" in text
        or "sq0" in text
        or "GOCSPX-" in text
        or "SECRET-" in text
        or "xai-" in text
        or "pplx-" in text
        or "nvapi-" in text
        or "tvly-" in text
    ):
        return False
    if "_" in text and (
        "pat_" in text
        or "gh" in text
        or "k_live_" in text
        or "k_test_" in text
        or "whsec_" in text
        or "npm_" in text
        or "hf_" in text
        or "dop_v1_" in text
        or "shp" in text
        or "gsk_" in text
        or "r8_" in text
        or "lin_api_" in text
        or "pcsk_" in text
        or "lsv2_" in text
    ):
        return False
    if "." in text and ("SG." in text or "hvs." in text or "ya29." in text):
        return False
    if "AKIA" in text or "ASIA" in text or "AIza" in text:
        return False
    return "xox" not in text and "hooks.slack" not in text


_ESCAPE = re.compile(r"(?:\\[bfnrt]|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|%[0-9a-f]{2})$", re.IGNORECASE)
"""What ends in a letter or digit and is none: a line break in a ``repr``, ``%3D`` in a query."""


def begins_word(text: str, at: int) -> bool:
    """Return whether what stands there is no part of a word that began before."""
    return not text[at - 1 : at].isalnum() or _ESCAPE.search(text[max(0, at - 6) : at]) is not None
