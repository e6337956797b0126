"""Handshakes that are refused."""

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response


async def refusal_of(address: str, subprotocols: list[str], **headers: str) -> Response:
    """Return the HTTP answer with which a handshake is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(address, subprotocols=subprotocols, additional_headers=headers):
            pass
    return refused.value.response
