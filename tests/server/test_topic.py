"""A topic: whoever stands in its ranks gets all of it, in order, once, and nobody else a byte."""

import json
import os
import socket
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from netra_backend.core.events import event_from_json
from netra_backend.core.ids import ThreadId, ThreadKey, UserId
from netra_backend.core.positions import Position
from netra_backend.core.resume import Piece
from netra_backend.server import ring as rings
from netra_backend.server import topic as topics
from netra_backend.server.batch import Batch
from netra_backend.server.topic import FEW, Topic
from netra_backend.server.volley import Volley

KEY = ThreadKey(UserId("alice"), ThreadId("t"))
MANY = FEW + 4
BEGIN = Position(1, 0)

opened: list[socket.socket | Volley] = []


@pytest.fixture(autouse=True, params=["as the system has it", "without a ring"])
def writing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without a ring":
        monkeypatch.setattr(rings, "_SETUP", 1_000_000)


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    yield
    while opened:
        opened.pop().close()


def pair() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
        opened.append(end)
    return ends


def batch(offset: int, *, epoch: int = 1, text: str = "") -> Batch:
    event = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": f"{text}{offset}"}
    data = event_from_json(json.dumps(event).encode())
    return Batch(KEY, [Piece(offset, Position(epoch, offset), data)])


@dataclass(eq=False)
class Peer:
    """A follower with a socket of its own, that takes what it is delivered as a lane would."""

    ours: socket.socket = field(init=False)
    theirs: socket.socket = field(init=False)
    at: Position = BEGIN
    topic: Topic | None = None
    willing: bool = True
    watches: bool = True
    owed: bytes = b""
    cut: bool = False
    alone: int = 0
    missed: int = 0

    def __post_init__(self) -> None:
        self.ours, self.theirs = pair()

    def deliver(self, batch: Batch) -> None:
        assert self.topic is None, "who stands in the ranks is served there"
        if batch.last > self.at:
            self.missed += batch.first != self.at.offset + 1
            self.alone += 1
            self.at = batch.last
            if not self.cut:
                self.ours.send(batch.prepared)

    def thread_deleted(self) -> None:
        raise AssertionError("nothing is deleted here")

    def enlist(self, topic: Topic) -> None:
        if self.willing and not self.cut and self.at == topic.last:
            self.topic = topic
            topic.enlist(self, self.ours.fileno())

    def fall_out(self) -> None:
        topic, self.topic = self.topic, None
        if topic is not None:
            self.at = topic.dismiss(self)

    def owe(self, rest: bytes) -> None:
        self.fall_out()
        self.owed += rest

    def cut_off(self) -> None:
        self.fall_out()
        self.cut = True

    def got(self) -> bytes:
        """Return what the peer has received, with what is owed to it."""
        parts = []
        try:
            while part := self.theirs.recv(1 << 20):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts) + self.owed


def ranked(count: int = MANY) -> tuple[Topic, list[Peer]]:
    """Return a topic with so many peers, which stand in the ranks after its first batch."""
    volley = Volley()
    opened.append(volley)
    topic, peers = Topic(KEY, volley), [Peer() for _ in range(count)]
    for peer in peers:
        topic.add(peer)
    say(topic, 1)
    for peer in peers:
        assert peer.got() == batch(1).prepared
    return topic, peers


def say(topic: Topic, *offsets: int, allowed: int = 1_000) -> None:
    for offset in offsets:
        topic.publish(batch(offset))
    topic.serve(allowed)


def test_what_a_peer_takes_nothing_of_is_bounded_whatever_is_published() -> None:
    topic, peers = ranked()
    long = "x" * (topics.SALVO // 3)
    size = len(batch(2, text=long).prepared)
    for offset in range(2, 42):
        topic.publish(batch(offset, text=long))
    while topic.is_waiting:
        topic.serve(1_000)
        for peer in peers:
            assert len(peer.owed) < topics.SALVO + size
            peer.willing = not peer.owed  # who is owed something is full, and gets no more
            if peer.owed:
                topic.remove(peer)
        for peer in peers[1:]:
            peer.got()
    # The first has read nothing: what was owed to it is no more than one salvo.
    assert peers[0].owed
    assert topic.last == Position(1, 41)


def test_many_stand_in_ranks_and_get_each_salvo_with_one_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic, peers = ranked()
    assert (topic.ranked, len(topic), set(topic)) == (MANY, MANY, set(peers))
    sizes: list[int] = []
    volley = topic._volley
    write = volley.write

    def noting(sockets: "array[int]", data: bytes) -> list[tuple[int, int]]:
        sizes.extend([len(data)] * len(sockets))
        return write(sockets, data)

    monkeypatch.setattr(volley, "write", noting)
    say(topic, 2, 3, 4)
    expected = b"".join(batch(n).prepared for n in (2, 3, 4))
    assert [peer.got() for peer in peers] == [expected] * MANY
    assert sizes == [len(expected)] * MANY
    assert {topic.position(peer) for peer in peers} == {Position(1, 4)}
    assert {peer.alone for peer in peers} == {1}


def test_few_have_no_ranks() -> None:
    topic, _ = ranked(FEW)
    assert topic.ranked == 0


def test_who_falls_out_in_the_middle_of_a_salvo_gets_it_once() -> None:
    topic, peers = ranked()
    topic.publish(batch(2))
    assert topic.serve(4, ranked=4) == 4
    before, after = topic._members[1], topic._members[7]
    assert isinstance(before, Peer)
    assert isinstance(after, Peer)
    for peer in (before, after):
        peer.willing = False
        peer.fall_out()
    assert (before.at, after.at) == (Position(1, 2), Position(1, 1))
    topic.publish(batch(3))
    while topic.is_waiting:
        topic.serve(4, ranked=4)
    assert [peer.got() for peer in peers] == [batch(2).prepared + batch(3).prepared] * MANY
    assert topic.ranked == MANY - 2


def test_nothing_is_written_on_a_descriptor_that_was_taken_back() -> None:
    """Its number may be that of a stranger's socket by then."""
    topic, peers = ranked()
    topic.publish(batch(2))
    topic.serve(4, ranked=4)
    gone = topic._members[7]
    assert isinstance(gone, Peer)
    topic.remove(gone)
    ours, theirs = pair()
    os.dup2(ours.fileno(), gone.ours.fileno())
    say(topic)
    say(topic, 3)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    assert gone not in topic
    rest = [peer.got() for peer in peers if peer is not gone]
    assert rest == [batch(2).prepared + batch(3).prepared] * (MANY - 1)


def test_what_the_system_does_not_take_is_owed_and_the_peer_falls_out() -> None:
    topic, peers = ranked()
    slow = peers[3]
    slow.willing = False
    slow.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    large = "x" * 1_000_000
    topic.publish(batch(2, text=large))
    topic.serve(1_000)
    assert (topic.ranked < MANY, bool(slow.owed), slow.at) == (True, True, Position(1, 2))
    assert slow.got() == batch(2, text=large).prepared


@pytest.mark.parametrize("answered", [False, True], ids=["in the write", "behind it"])
def test_who_was_written_to_when_a_signal_broke_it_off_is_cut_off(
    answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some have it, some a part of a frame: whatever came next would be no frame, or one twice."""
    topic, _ = ranked()
    stood = [member for member in topic._members if isinstance(member, Peer)]
    volley = topic._volley
    write = volley.write

    def interrupted(sockets: "array[int]", data: bytes) -> list[tuple[int, int]]:
        monkeypatch.setattr(volley, "write", write)
        for descriptor, sent in zip(sockets, (len(data), 3), strict=False):
            os.write(descriptor, data[:sent])
        if answered:
            monkeypatch.setattr(Peer, "owe", broken_off)
            return [(place, 0) for place in range(1, len(sockets))]
        raise KeyboardInterrupt

    def broken_off(self: Peer, rest: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(volley, "write", interrupted)
    topic.publish(batch(2))
    with pytest.raises(KeyboardInterrupt):
        topic.serve(4, ranked=4)
    assert [peer.cut for peer in stood] == [True] * 4 + [False] * (MANY - 4)
    while topic.is_waiting:
        topic.serve(4, ranked=4)
    say(topic, 3)
    whole, rest = batch(2).prepared, batch(3).prepared
    assert [peer.got() for peer in stood] == [
        *(whole, whole[:3], b"", b""),
        *[whole + rest] * (MANY - 4),
    ]
    assert topic.ranked == MANY - 4


def test_who_comes_late_or_has_missed_something_is_served_alone() -> None:
    topic, peers = ranked()
    topic.publish(batch(2))
    topic.serve(4, ranked=4)
    late = Peer(at=Position(1, 2))  # it has found the second in the log
    topic.add(late)
    say(topic)
    say(topic, 3)
    assert (late.alone, late.missed, topic.ranked) == (1, 0, MANY + 1)
    say(topic, 5)
    assert {peer.missed for peer in [*peers, late]} == {1}
    assert {peer.alone for peer in peers} == {2}


def test_another_epoch_dissolves_the_ranks() -> None:
    topic, peers = ranked()
    topic.publish(batch(2, epoch=2))
    topic.serve(1_000)
    assert {peer.at for peer in peers} == {Position(2, 2)}
    assert {peer.alone for peer in peers} == {2}
