"""The headers of every answer: tests/security/test_headers.py sees that every answer has them."""

import re

from netra_backend.server.headers import CONTENT_SECURITY_POLICY, HEADERS


def test_they_can_be_written_as_they_are() -> None:
    for name, value in HEADERS.items():
        assert re.fullmatch("[A-Za-z-]+", name)
        assert value.isascii()
        assert value.isprintable()


def test_nothing_is_allowed_that_is_not_named() -> None:
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'; ")
    assert "unsafe" not in CONTENT_SECURITY_POLICY
