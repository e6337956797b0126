"""The user: until when it is known who sends a request."""

import asyncio
import time

import pytest

from netra_backend.core.ids import UserId
from netra_backend.server.user import User, at_expiry
from tests.client import BOUND

pytestmark = pytest.mark.anyio

ALICE = UserId("alice")


async def test_something_is_done_when_the_credential_ends() -> None:
    ended = asyncio.Event()
    end = int(time.time()) + 1
    assert at_expiry(User(ALICE, end), ended.set) is not None
    await asyncio.wait_for(ended.wait(), BOUND)
    assert time.time() > end - 0.1


async def test_what_has_ended_already_is_done_in_the_next_turn() -> None:
    ended = asyncio.Event()
    at_expiry(User(ALICE, 1), ended.set)
    assert not ended.is_set()
    await asyncio.wait_for(ended.wait(), BOUND)


async def test_it_can_be_called_off_and_a_credential_may_have_no_end() -> None:
    ended = asyncio.Event()
    handle = at_expiry(User(ALICE, 1), ended.set)
    assert handle is not None
    handle.cancel()
    assert at_expiry(User(ALICE), ended.set) is None
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not ended.is_set()
