"""Players: people who do anything that a client may do to a server, each by several ways in."""

import asyncio
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
from websockets.exceptions import InvalidHandshake

from tests.checker import Frame, Name, Tape
from tests.client import BOUND, run_input
from tests.faults.game import NEVER, ROLES, THREADS, USERS, Game, Stamped, Told
from tests.faults.run_streams import RunStream, Streamed
from tests.http import http
from tests.person import GONE, Person

ACTS = {
    "run": 26, "twin": 5, "burst": 4, "follow": 10, "unfollow": 3, "cancel": 10, "decide": 12,
    "leave": 2, "drop": 3, "cut": 2, "stream": 10, "join": 4, "delete": 2, "share": 5,
    "cancel_there": 5, "decide_there": 4, "read": 5, "renew": 2, "resume": 3, "hang": 2,
}  # fmt: skip
"""What a player does, and how often; the methods have these names."""


class Player:
    """One person with a socket and a browser, who does one thing after the other."""

    def __init__(self, game: Game, name: str, user: str, seed: int) -> None:
        self.game = game
        self.user = user
        self.person = Person(game.server, name, user, receive_buffer=4_096)
        self.partner = self
        """Another player of the same user."""
        self.by_http = Tape(f"{name} by http", user, [])
        self.browser = http(game.server.url, game.server.token(user))
        self._random = Random(f"{seed} {name}")
        self._seen = 0

    async def play(self) -> None:
        """Play until it is over."""
        while not self.game.over:
            try:
                await asyncio.sleep(self._random.random() * self.game.pace)
                if not self.person.connected:
                    await self._connect()
                (act,) = self._random.choices([*ACTS], [*ACTS.values()])
                await getattr(self, act)()
                self._look_for_questions()
            except TimeoutError:  # an OSError too, but nobody is to wait for ever
                raise
            except (*GONE, InvalidHandshake) as error:
                self._note_odd(repr(error))

    async def _connect(self) -> None:
        await self.person.leave()
        self._seen = 0
        client = await self.person.connect()
        client.tape = self.person.tapes[-1].frames = Stamped(client.tape)

    def _note_odd(self, what: str) -> None:
        self.game.odd.append((time.monotonic(), f"{self.person.name}: {what}"))

    def view(self, name: Name) -> str:
        """Return what the user calls the thread."""
        owner, thread = name
        return thread if owner == self.user else f"{owner},{thread}"

    def _look_for_questions(self) -> None:
        events = self.person.client.events if self.person.connected else []
        for frame in events[self._seen :]:
            owner, _, thread = frame["thread"].rpartition(",")
            asked = self.game.questions.setdefault((owner or self.user, thread), [])
            for question in (frame["chunk"].get("outcome") or {}).get("interrupts") or ():
                if question["id"] not in asked:
                    asked.append(question["id"])
        self._seen = len(events)

    # --- what is chosen ---

    def _thread(self) -> Name:
        """Return a thread, mostly one that the user may write in."""
        now = time.monotonic()
        roles = {name: self.game.role(name, self.user, now, now) for name in THREADS}
        known = [name for name, role in roles.items() if role in ("owner", "decide", "write")]
        return self._random.choice(known if known and self._random.random() < 0.85 else THREADS)

    def _new_run(self) -> tuple[Name, str]:
        """Return a thread and the name of a run for it: an old name, now and then."""
        name, runs = self._thread(), self.game.runs
        old = [run for place in runs.values() for user, run in place[-8:] if user == self.user]
        is_old = bool(old) and self._random.random() < 0.2
        run = self._random.choice(old) if is_old else self.game.new_run(self.user)
        runs[name].append((self.user, run))
        return name, run

    def _old_run(self) -> tuple[Name, str, str]:
        """Return a thread, and the user and name of a run that was asked for there lately."""
        name = self._thread()
        user, run = self._random.choice(self.game.runs[name][-3:] or [(self.user, "none")])
        return name, user, run

    def _question(self) -> tuple[Name, str]:
        """Return a thread and a question that was asked there lately."""
        asked = [(name, ids) for name, ids in self.game.questions.items() if ids]
        name, ids = self._random.choice(asked or [(THREADS[0], ["none"])])
        return name, self._random.choice(ids[-3:])

    def _answer(self) -> Frame:
        return {"approved": self._random.random() < 0.5}

    # --- by the socket ---

    async def _tell(self, kind: str, asking: Awaitable[Frame], about: Frame) -> Frame:
        told = Told(self.user, kind, about, time.monotonic())
        self.game.told.append(told)
        told.answer = await asking
        told.answered = time.monotonic()
        return told.answer

    async def command(self, kind: str, **fields: Any) -> Frame:
        """Send a command; return its answer."""
        return await self._tell(kind, self.person.client.command(kind, **fields), fields)

    async def run(self) -> None:
        name, run = self._new_run()
        await self.command("run", input=run_input(self.view(name), run))

    async def twin(self) -> None:
        """Ask for one run by two connections at once, sometimes in two threads."""
        name, run = self._new_run()
        place = self._random.choice((name, name, self._random.choice(THREADS)))
        self.game.runs[place].append((self.user, run))
        await asyncio.gather(self._ask_for(run, name), self.partner._ask_for(run, place))

    async def _ask_for(self, run: str, name: Name) -> None:
        if self.person.connected:
            with _until_gone():
                await self.command("run", input=run_input(self.view(name), run))

    async def burst(self) -> None:
        """Send several commands without waiting, and sometimes leave at once."""
        client, doing = self.person.client, []
        for number in range(self._random.randint(2, 6)):
            kind, about = self._random.choice((self._a_run, self._a_follow, self._a_cancel))()
            frame = {"type": kind, "request": f"b{len(client.tape)}-{number}", **about}
            with _until_gone():
                answer = asyncio.wait_for(await client.post(frame), BOUND)
                doing.append(asyncio.ensure_future(self._tell(kind, answer, about)))
        if self._random.random() < 0.4:
            await self.person.drop()
        for done in doing:
            with _until_gone():
                await done

    def _a_run(self) -> tuple[str, Frame]:
        name, run = self._new_run()
        return "run", {"input": run_input(self.view(name), run)}

    def _a_follow(self) -> tuple[str, Frame]:
        return "follow", {"thread": self.view(self._thread())}

    def _a_cancel(self) -> tuple[str, Frame]:
        name, user, run = self._old_run()
        named = user != self.user or self._random.random() < 0.3
        return "cancel", {"run": run, **({"thread": self.view(name)} if named else {})}

    async def follow(self) -> None:
        """Follow on, or anew, from the middle or from nowhere."""
        thread = self.view(self._thread())
        reader = self.person.reader(thread)
        middle = f"{reader.epoch}-{reader.offset // 2}" if reader.epoch else None
        after = self._random.choice((*(reader.after,) * 3, None, "17-4", middle))
        await self.command("follow", thread=thread, **({"after": after} if after else {}))

    async def unfollow(self) -> None:
        await self.command("unfollow", thread=self.view(self._thread()))

    async def cancel(self) -> None:
        kind, about = self._a_cancel()
        await self.command(kind, **about)

    async def decide(self) -> None:
        name, interrupt = self._question()
        about = {"thread": self.view(name), "interrupt": interrupt}
        status = self._random.choice(("resolved", "resolved", "cancelled"))
        await self.command("decide", **about, payload=self._answer(), status=status)

    async def resume(self) -> None:
        """Ask for a run that takes up an answer."""
        name, interrupt = self._question()
        run = self.game.new_run(self.user)
        self.game.runs[name].append((self.user, run))
        entry = {"interruptId": interrupt, "status": "resolved", "payload": self._answer()}
        given = {**run_input(self.view(name), run), "messages": [], "resume": [entry]}
        await self.command("run", input=given)

    async def renew(self) -> None:
        await self.command("auth", token=self.game.server.token(self.user))

    async def hang(self) -> None:
        """Read nothing for a while."""
        reading = self.person.client.reading
        reading.clear()
        await asyncio.sleep(self._random.random() * 0.5)
        reading.set()

    async def leave(self) -> None:
        await self.person.leave()

    async def drop(self) -> None:
        await self.person.drop()

    async def cut(self) -> None:
        """Send some bytes of a frame, and be gone."""
        frame = bytes([0x81, 0x82, 0, 0, 0, 0]) + b"{}"
        transport = self.person.client.socket.transport
        with suppress(RuntimeError):  # the server has said goodbye
            transport.write(frame[: self._random.randint(1, len(frame) - 1)])
        await self.person.drop()

    # --- by the browser ---

    async def ask(self, kind: str, method: str, path: str, **options: Any) -> Told:
        """Ask over HTTP; the answer has its `status`."""
        told = Told(self.user, kind, {"path": path, **options}, time.monotonic())
        self.game.told.append(told)
        try:
            answer = await self.browser.request(method, path, **options)
        except httpx.TimeoutException as error:
            raise AssertionError(f"{method} {path}: no answer") from error
        except httpx.TransportError as error:
            self._note_odd(f"{method} {path}: {error!r}")
            return told
        told.answered = time.monotonic()
        body = answer.json() if answer.content else {}
        failed = {"type": "error", **body["error"]} if "error" in body else body
        told.answer = {"status": answer.status_code, **failed}
        return told

    def _tape(self, told: Told, type: str) -> None:
        """Put a command over HTTP on a tape of its own, for the checker."""
        if told.answer is not None and told.answer["status"] == 200:
            tape, request = self.by_http.frames, f"h{len(self.by_http.frames)}"
            said = {**told.answer, "type": type, "request": request}
            del said["status"]
            self.by_http.frames = [
                *tape, ("sent", {"type": told.kind, "request": request}), ("got", said)
            ]  # fmt: skip

    async def cancel_there(self) -> None:
        name, user, run = self._old_run()
        query = {"thread": self.view(name)} if user != self.user else {}
        told = await self.ask("cancel", "POST", f"/runs/{run}/cancel", params=query)
        self._tape(told, "cancelled")

    async def decide_there(self) -> None:
        name, interrupt = self._question()
        path = f"/threads/{quote(self.view(name))}/interrupts"
        body = {"interrupt": interrupt, "payload": self._answer()}
        told = await self.ask("decide", "POST", path, json=body)
        if told.answer is not None and "decision" not in told.answer:
            self._tape(told, "decided")

    async def read(self) -> None:
        thread = quote(self.view(self._thread()))
        what = self._random.choice(("messages", "events", "interrupts", "members"))
        await self.ask("read", "GET", f"/threads/{thread}/{what}")

    async def delete(self) -> None:
        """Delete an own thread, open it again, and share it as it comes."""
        name = self._own_thread()
        if name is None:
            return
        async with self.game.sharing:
            changed = [self.game.roles[name, user] for user in USERS if user != self.user]
            for changes in changed:
                changes.append((time.monotonic(), NEVER, None))
            self.game.deletions[name].append(NEVER)
            told = await self.ask("delete", "DELETE", f"/threads/{name[1]}")
            if (told.answer or {}).get("status") in (204, 404):
                self.game.deletions[name][-1] = told.answered
                for changes in changed:
                    changes[-1] = (told.asked, told.answered, None)
        await self.open(name)
        for user in USERS:
            await self.share_with(name, user, self._random.choice(ROLES))

    async def open(self, name: Name) -> None:
        """Open an own thread."""
        await self.ask("open", "POST", "/threads", json={"id": name[1]})

    async def share(self) -> None:
        name = self._own_thread()
        if name is not None:
            await self.share_with(name, self._random.choice(USERS), self._random.choice(ROLES))

    def _own_thread(self) -> Name | None:
        own = [name for name in THREADS if name[0] == self.user]
        return self._random.choice(own) if own else None

    async def share_with(self, name: Name, user: str, role: str | None) -> None:
        """Give somebody else a role in an own thread, or none."""
        if user == self.user:
            return
        path = f"/threads/{name[1]}/members/{user}"
        async with self.game.sharing:
            changes = self.game.roles[name, user]
            changes.append((time.monotonic(), NEVER, role))
            if role is None:
                told = await self.ask("unshare", "DELETE", path)
            else:
                told = await self.ask("share", "PUT", path, json={"role": role})
            status = (told.answer or {}).get("status")
            if status in (200, 201, 204, 404):
                # There is no such thread where the worker has died that was to open it again.
                changes[-1] = (told.asked, told.answered, None if status == 404 else role)

    # --- by server-sent events ---

    async def stream(self) -> None:
        """Ask for a run over SSE; break off at any byte and go on, now and then."""
        name, run = self._new_run()
        stream = RunStream(self.user, self.view(name), run)
        given = {**run_input(stream.thread, run), "protocolVersion": "1.0"}
        self.game.streams.append(stream)
        for _ in range(self._random.randint(1, 4)):
            if await self._read(stream, "POST /agui/moody", given) != Streamed.BROKEN:
                return

    async def join(self) -> None:
        """Join a run over SSE, from its beginning."""
        name, _, run = self._old_run()
        stream = RunStream(self.user, self.view(name), run)
        self.game.streams.append(stream)
        query = f"runId={run}&threadId={quote(stream.thread)}&offset=-1&protocolVersion=1.0"
        await self._read(stream, f"GET /agui/moody?{query}", None)

    async def _read(self, stream: RunStream, request: str, given: Frame | None) -> Streamed:
        """Read all of an answer, or so many bytes."""
        most = self._random.choice((1 << 30, 1 << 30, self._random.randint(1, 6_000)))
        server = self.game.server
        kind = "stream" if given is not None else "join"
        told = Told(self.user, kind, {"input": given or {"threadId": stream.thread}}, 0.0)
        self.game.told.append(told)
        told.asked = time.monotonic()
        how = await stream.read(server.port, server.token(self.user), request, given, most)
        told.answered = time.monotonic()
        told.answer = stream.answer
        if how is Streamed.BROKEN and stream.taken < most:
            self._note_odd(f"the stream of {stream.run} broke off")
        return how


@contextmanager
def _until_gone() -> Iterator[None]:
    """Do what ends when the connection does; but nobody is to wait for ever."""
    try:
        yield
    except TimeoutError:
        raise
    except GONE:
        return
