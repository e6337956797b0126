"""The user: who sends a request, and until when that is known."""

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct

from netra_backend.core.ids import UserId


class User(Struct, frozen=True):
    """Who sends a request; `expires` is when the credential ends, in seconds since 1970.

    `issued` is when it began, in the same; without it, when it was shown. An `admin` may see and
    close connections, and revoke what others have.
    """

    id: UserId
    expires: int | None = None
    issued: float | None = None
    admin: bool = False


def at_expiry(user: User, act: Callable[[], object]) -> asyncio.TimerHandle | None:
    """Call `act` when the user's credential ends; return what cancels that, None if it never does.

    The wall clock counts now, the loop's from here on.
    """
    if user.expires is None:
        return None
    seconds = max(0.0, user.expires - time.time())
    return asyncio.get_running_loop().call_later(seconds, act)
