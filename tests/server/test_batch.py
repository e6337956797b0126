"""A batch: the same bytes for every follower, in each of its forms."""

import json

from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from netra_backend.core.events import event_from_json
from netra_backend.core.ids import ThreadId, ThreadKey, UserId
from netra_backend.core.positions import Position
from netra_backend.core.resume import Piece
from netra_backend.server.batch import Batch, websocket_frame

KEY = ThreadKey(UserId("alice"), ThreadId("t"))


def piece(first: int, last: int, text: str) -> Piece:
    event = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": text}
    return Piece(first, Position(7, last), event_from_json(json.dumps(event).encode()))


def frames_in(data: bytes) -> list[Frame]:
    """Return the WebSocket frames that the bytes are, as the library parses them."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    frames = []
    while not finished(reader.at_eof()):
        frames.append(finished(Frame.parse(reader.read_exact, mask=False, max_size=None)))
    return frames


def finished(generator):
    """Return what a generator of the library returns that has all its data."""
    try:
        next(generator)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the bytes end in the middle of a frame")


def test_a_batch_covers_from_its_first_entry_to_its_last() -> None:
    batch = Batch(KEY, [piece(4, 6, "a"), piece(7, 7, "b")])

    assert (batch.first, batch.last) == (4, Position(7, 7))
    assert [json.loads(frame).get("from") for frame in batch.frames] == ["7-4", None]
    assert [json.loads(frame)["id"] for frame in batch.frames] == ["7-6", "7-7"]


def test_all_forms_say_the_same_and_are_made_once() -> None:
    texts = ["ä💐", "x" * 125, "y" * 126, "z" * 65_536, "\n\u2028"]
    batch = Batch(KEY, [piece(n, n, text) for n, text in enumerate(texts, 1)])

    assert [text.encode() for text in batch.texts] == batch.frames
    parsed = frames_in(batch.prepared)
    assert [frame.data for frame in parsed] == batch.frames
    assert {(frame.opcode, frame.fin) for frame in parsed} == {(Opcode.TEXT, True)}
    assert batch.prepared is batch.prepared
    assert batch.frames is batch.frames


def test_a_prepared_frame_is_not_masked() -> None:
    assert websocket_frame(b"{}") == b"\x81\x02{}"
