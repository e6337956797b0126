"""The two ways of a socket: our own lane, and ASGI's ``send`` as on any other server."""

import pytest

both_lanes = pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])
