"""The request for a socket says what Starlette's says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from netra_backend.server.socket_request import SocketRequest

NAMES = st.sampled_from([b"host", b"origin", b"cookie", b"authorization", b"x-f\xfc"])
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from([b"", b"a=b", b"\xff; c=d"])), max_size=5)


@given(FIELDS)
def test_it_reads_fields_as_starlette_does(fields: list[tuple[bytes, bytes]]) -> None:
    scope = {"type": "websocket", "headers": fields}
    ours, theirs = SocketRequest(scope), HTTPConnection(scope)
    for name in ("host", "Origin", "COOKIE", "authorization", "x-fü", "x-none"):
        assert ours.headers.get(name) == theirs.headers.get(name)
        assert ours.headers.get(name, "-") == theirs.headers.get(name, "-")
        assert ours.headers.getlist(name) == theirs.headers.getlist(name)
        assert (name in ours.headers) is (name in theirs.headers)
        if name in theirs.headers:
            assert ours.headers[name] == theirs.headers[name]
        else:
            with pytest.raises(KeyError):
                ours.headers[name]
    assert ours.headers == theirs.headers
    assert ours.headers.items() == theirs.headers.items()
    assert ours.cookies == theirs.cookies
