"""Turns of pages: how many long answers a user may have in memory that were not taken yet."""

import asyncio
from contextlib import ExitStack
from functools import wraps
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.responses import Response

from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.endpoints import Call, JsonAnswer
from netra_backend.server.user import User

TURN_SECONDS = 2.0
"""How long a request waits for its turn: less than a client may take nothing of while we stop."""

PAGES_AT_ONCE = 8
"""Pages of one user that are in memory."""


class PageTurns:
    """Who may be answered now: `PAGES_AT_ONCE` long answers of one user are in memory at most.

    Others wait a little for one of these to be taken; then they are refused (``too_many``).
    """

    def __init__(self) -> None:
        self._users: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, page: Call) -> Call:
        """Return `page`, whose answers come in turn: it is called when there is room for one."""

        @wraps(page)
        async def in_turn(request: Request, user: User) -> Response:
            turns = self._users.get(user.id)
            if turns is None:
                turns = self._users[user.id] = asyncio.Semaphore(PAGES_AT_ONCE)
            with ExitStack() as place:
                await _take(turns)
                place.callback(turns.release)
                response = await page(request, user)
                if isinstance(response, JsonAnswer):
                    response.sent = place.pop_all().close
                return response

        return in_turn


async def _take(turns: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(TURN_SECONDS):
            await turns.acquire()
    except TimeoutError as error:
        text = "the user has too many long answers that were not read"
        raise Refused(ErrorCode.TOO_MANY, text) from error
