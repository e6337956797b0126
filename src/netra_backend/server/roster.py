"""The roster: the live connections of all nodes, whichever of them is asked."""

import asyncio
import os
import sys

from msgspec import Struct, json, msgpack

from netra_backend import jsonlog
from netra_backend.core.ids import ThreadKey
from netra_backend.core.nodes import Nodes
from netra_backend.core.pages import bounded
from netra_backend.core.ports import Thread
from netra_backend.errors import CloseCode, ErrorCode, Refused
from netra_backend.server.clock import now
from netra_backend.server.follower import ThreadFollower
from netra_backend.server.house import House
from netra_backend.server.pool import Member, Place
from netra_backend.server.views import ConnectionPage, ConnectionView, FollowedView

log = jsonlog.get_logger(__name__)

LIST, CLOSE = "connections", "close connection"
"""What nodes ask each other."""

AT_ONCE = 256
"""Threads that are asked for at once: a page may have 64,000, and others use the store too."""

VIEW_BYTES, FOLLOWED_BYTES = 300, 100
"""About the bytes of a view but for the threads that are followed, and of one of these but for its
names."""

_END = (sys.maxsize, "")
"""A place behind all connections."""

Threads = dict[ThreadKey, Thread]


class Wanted(Struct, frozen=True, array_like=True):
    """A page: at most `limit` connections behind `after`, a time and an id, perhaps of one user."""

    limit: int
    after: tuple[int, str]
    of_user: str | None = None


class _Part(Struct, frozen=True, array_like=True):
    """What one node has of a page, whether it has more behind that, and how many in all."""

    views: list[ConnectionView]
    more: bool
    total: int

    def end(self) -> tuple[int, str]:
        """Return the place behind which it may have some that it does not show."""
        return _place(self.views[-1]) if self.more else _END


_wanted = msgpack.Decoder(Wanted)
_part = msgpack.Decoder(_Part)


class Roster:
    """Lists and closes the connections of this `house`, and those of its other `nodes`."""

    def __init__(self, house: House, nodes: Nodes | None = None) -> None:
        self._house = house
        self._nodes = nodes
        if nodes is not None:
            nodes.let_answer(LIST, self._list_here)
            nodes.let_answer(CLOSE, self._close_here)

    async def page(self, wanted: Wanted) -> ConnectionPage:
        """Return what is wanted, the oldest first, and the workers that did not tell theirs."""
        if self._nodes is None:
            return _page(wanted, [await self._part(wanted)], [])
        gathered = await self._nodes.ask(LIST, msgpack.encode(wanted))
        parts = [_part.decode(answer) for _, answer in gathered.answers]
        return _page(wanted, parts, list(gathered.missing))

    async def close(self, id: str) -> bool:
        """Close the connection with this id; return whether there is one.

        Raises Refused (``overloaded``) if a worker does not answer, which may have it.
        """
        if self._close(id):
            return True
        if self._nodes is None:
            return False
        gathered = await self._nodes.ask(CLOSE, id.encode())
        found = any(answer for _, answer in gathered.answers)
        if gathered.missing and not found:
            missing = ", ".join(map(str, gathered.missing))
            why = f"no worker that answers has this connection; worker {missing} does not answer"
            raise Refused(ErrorCode.OVERLOADED, why)
        return found

    async def _list_here(self, question: bytes) -> bytes:
        return msgpack.encode(await self._part(_wanted.decode(question)))

    async def _close_here(self, question: bytes) -> bytes:
        return b"closed" if self._close(question.decode()) else b""

    def _close(self, id: str) -> bool:
        member = self._house.pool.find(id)
        if member is None:
            return False
        log.warning("closed by an administrator", extra={"closed": id})
        member.dismiss(CloseCode.GOING_AWAY)
        return True

    async def _part(self, wanted: Wanted) -> _Part:
        pool = self._house.pool
        found = [(m, pool.place(m)) for m in pool if wanted.of_user in (None, m.user)]
        rest = [one for one in found if (one[1].since, one[0].id) > wanted.after]
        rest.sort(key=lambda one: (one[1].since, one[0].id))
        page = bounded(rest[: wanted.limit], lambda one: _size(one[0]))
        threads = await self._threads({f.thread for member, _ in page for f in member.following})
        views = [self._view(member, place, threads) for member, place in page]
        return _Part(views, len(rest) > len(page), len(pool))

    async def _threads(self, keys: set[ThreadKey]) -> Threads:
        """Return the threads that are still there: many are asked for at once, each once."""
        found: Threads = {}
        rest = list(keys)
        while rest:
            part, rest = rest[:AT_ONCE], rest[AT_ONCE:]
            told = await asyncio.gather(*map(self._house.store.thread, part))
            found |= {thread.key: thread for thread in told if thread is not None}
        return found

    def _view(self, member: Member, place: Place, threads: Threads) -> ConnectionView:
        """Return what administrators see of a member, which may have left meanwhile."""
        return ConnectionView(
            id=member.id,
            worker=None if self._nodes is None else os.getpid(),
            user=member.user,
            kind=type(member).__name__,
            state=member.state,
            address=place.address,
            since=place.since,
            seconds=(now() - place.since) / 1_000,
            buffered=member.buffered,
            threads=[_followed(each, threads.get(each.thread)) for each in member.following],
        )


def _followed(follower: ThreadFollower, thread: Thread | None) -> FollowedView:
    """Return how far a follower is in a thread, which it may have read on in meanwhile."""
    position = follower.position
    known = thread is not None and thread.head.epoch == position.epoch
    return FollowedView(
        owner=follower.thread.owner,
        thread=follower.thread.id,
        position=str(position),
        state=follower.state.name,
        lag=max(0, thread.head.offset - position.offset) if known and thread else None,
    )


def _size(member: Member) -> int:
    """Return about the bytes of a member's view, which count where a page ends."""
    names = [(each.thread.owner, each.thread.id) for each in member.following]
    return VIEW_BYTES + sum(FOLLOWED_BYTES + len("".join(name).encode()) for name in names)


def _place(view: ConnectionView) -> tuple[int, str]:
    return view.since, view.id


def _page(wanted: Wanted, parts: list[_Part], missing: list[int]) -> ConnectionPage:
    """Return the page that the parts make together: as far as each of them shows all it has."""
    end = min((part.end() for part in parts), default=_END)
    found = sorted((v for part in parts for v in part.views), key=_place)
    views = [view for view in found if _place(view) <= end][: wanted.limit]
    views = list(bounded(views, lambda view: len(json.encode(view))))
    has_more = len(views) < len(found) or end < _END
    following = "{}-{}".format(*_place(views[-1])) if has_more else None
    return ConnectionPage(views, sum(part.total for part in parts), following, missing)
