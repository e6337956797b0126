"""The codec: whatever the bytes, a command, or a FrameError that says where and to whom."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from netra_backend.core.codec import (
    MAX_DEPTH,
    MAX_SHOWN_LENGTH,
    decode_command,
    encode_frame,
    event_frame,
)
from netra_backend.core.frames import (
    MAX_REQUEST_LENGTH,
    AuthCommand,
    CancelCommand,
    ClientFrame,
    Command,
    DecideCommand,
    ErrorFrame,
    FollowCommand,
    PingCommand,
    Pong,
    RunCommand,
    UnfollowCommand,
)
from netra_backend.core.ids import ThreadId
from netra_backend.core.positions import MAX_NUMBER, Position
from netra_backend.core.resume import Piece, merge
from netra_backend.core.session import error_frame
from netra_backend.errors import ErrorCode, FrameError
from tests.night import examples
from tests.strategies import entries, ids, json_values, logs, texts

BIG = 1_000_000

FRAMES: list[tuple[str, ClientFrame]] = [
    (
        '{"type":"run","request":"1","thread":"t","agent":"a","input":{"x":[1]}}',
        RunCommand(request="1", input=Raw(b'{"x":[1]}'), thread="t", agent="a"),
    ),
    ('{"type":"run","request":"1","input":null}', RunCommand(request="1", input=Raw(b"null"))),
    (
        '{"type":"follow","request":"1","thread":"t","after":"1-2"}',
        FollowCommand(request="1", thread="t", after="1-2"),
    ),
    ('{"type":"follow","request":"1","thread":"t"}', FollowCommand(request="1", thread="t")),
    ('{"request":"1","thread":"t","type":"unfollow"}', UnfollowCommand(request="1", thread="t")),
    ('{"type":"cancel","request":"1","run":"r"}', CancelCommand(request="1", run="r")),
    (
        '{"type":"decide","request":"1","thread":"t","interrupt":"i","payload":{"ok":true}}',
        DecideCommand(request="1", thread="t", interrupt="i", payload=Raw(b'{"ok":true}')),
    ),
    (
        '{"type":"decide","request":"1","thread":"t","interrupt":"i","status":"cancelled"}',
        DecideCommand(request="1", thread="t", interrupt="i", status="cancelled"),
    ),
    ('{"type":"auth","token":"x"}', AuthCommand(token="x")),
    ('{"type":"auth","token":"x","request":"1"}', AuthCommand(token="x", request="1")),
    ('{"type":"ping"}', PingCommand()),
    (' \n{ "type" : "ping" , "request" : "\\u00e9" }\t', PingCommand(request="é")),
]


def command(data: bytes) -> ClientFrame:
    return decode_command(data, frame_bytes=BIG)


def refusal(data: bytes | str, *, frame_bytes: int = BIG) -> FrameError:
    """Return the FrameError of a frame that cannot be read."""
    with pytest.raises(FrameError) as refused:
        decode_command(data if isinstance(data, bytes) else data.encode(), frame_bytes=frame_bytes)
    return refused.value


def told(error: FrameError) -> tuple[str, str | None]:
    return error.where, error.request


@pytest.mark.parametrize(("text", "frame"), FRAMES)
def test_a_command_is_read(text: str, frame: ClientFrame) -> None:
    assert command(text.encode()) == frame


def test_every_command_is_in_the_table() -> None:
    assert {type(frame) for _, frame in FRAMES} == set(Command.__subclasses__())


# --- what is refused, and how ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ('{"type":"fly","request":"7"}', "$.type", "'fly'"),
        ('{"type":"RUN","request":"7"}', "$.type", "'RUN'"),
        ('{"type":"ready","request":"7"}', "$.type", "'ready'"),
        ('{"request":"7"}', "$", "missing required field `type`"),
        ('{"type":5,"request":"7"}', "$.type", "Expected `str`"),
        ('{"type":"ping","request":"7","wing":1}', "$", "unknown field `wing`"),
        ('{"type":"cancel","request":"7"}', "$", "missing required field `run`"),
        ('{"type":"cancel","request":"7","run":5}', "$.run", "Expected `str`, got `int`"),
        ('{"type":"cancel","request":"7","run":null}', "$.run", "got `null`"),
        ('{"type":"follow","request":"7","thread":"t","after":1}', "$.after", "got `int`"),
        ('{"type":"run","request":"7"}', "$", "missing required field `input`"),
    ],
)
def test_a_wrong_command_is_told_where_and_with_its_request(
    text: str, where: str, message: str
) -> None:
    error = refusal(text)
    assert told(error) == (where, "7")
    assert message in error.message
    assert error.code is ErrorCode.BAD_FRAME


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "\\ud83d and more text", "\\ude00\\ud83d"])
def test_half_of_a_surrogate_pair_is_refused_with_the_request(half: str) -> None:
    inside = f'{{"messages":[{{"content":"{half}"}}],"n":{"9" * 5_000}}}'
    error = refusal(f'{{"type":"run","request":"7","input":{inside}}}')
    assert told(error) == ("$", "7")
    assert refusal(f'{{"type":"ping","request":"{half}"}}').request is None


@pytest.mark.parametrize("request_id", ['""', '"' + "x" * (MAX_REQUEST_LENGTH + 1) + '"'])
def test_a_request_of_a_wrong_length(request_id: str) -> None:
    error = refusal(f'{{"type":"ping","request":{request_id}}}')
    assert told(error) == ("$.request", None)
    assert str(MAX_REQUEST_LENGTH) in error.message


@pytest.mark.parametrize("request_id", ["5", "null", "{}", '["7"]', '"' + "x" * 65 + '"'])
def test_a_request_that_cannot_be_repeated_is_not(request_id: str) -> None:
    assert refusal(f'{{"type":"cancel","request":{request_id}}}').request is None


def test_the_longest_request() -> None:
    assert command(b'{"type":"ping","request":"%b"}' % (b"x" * MAX_REQUEST_LENGTH))


def test_a_frame_that_is_too_big_is_told_both_numbers() -> None:
    data = b'{"type":"ping"}'
    assert decode_command(data, frame_bytes=len(data)) == PingCommand()
    error = refusal(data, frame_bytes=len(data) - 1)
    assert error.code is ErrorCode.TOO_BIG
    assert "15 bytes" in error.message
    assert "limit is 14" in error.message


def nested(opening: str, closing: str, depth: int) -> str:
    return opening * depth + "1" + closing * depth


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_deep_nesting_is_a_frame_error(opening: str, closing: str, depth: int) -> None:
    for inside in (nested(opening, closing, depth), opening * depth):
        assert "nests deeper than 100" in refusal(inside).message
        error = refusal(f'{{"type":"run","request":"7","input":{inside}}}')
        assert "nests deeper than 100" in error.message
    given = f'{{"type":"run","request":"7","input":{nested(opening, closing, 200)}}}'
    assert refusal(given).request == "7"


def test_nesting_up_to_the_limit_is_read() -> None:
    deepest = nested("[", "]", MAX_DEPTH - 1)
    assert command(f'{{"type":"run","request":"7","input":{deepest}}}'.encode())
    deeper = nested("[", "]", MAX_DEPTH)
    assert refusal(f'{{"type":"run","request":"7","input":{deeper}}}').request == "7"


@given(st.text('[]{}"\\a', min_size=1).map(lambda text: text * 80), st.integers(0, 130))
def test_brackets_in_text_do_not_count(text: str, depth: int) -> None:
    given = {"type": "run", "request": "7", "input": [text, {"[" * 200: text}]}
    assert command(json.dumps(given).encode())
    inside = nested("[", "]", depth)
    data = f'{{"type":"run","request":"7","input":{{"a":{json.dumps(text)},"b":{inside}}}}}'
    if depth + 2 <= MAX_DEPTH:
        assert command(data.encode())
    else:
        assert "nests deeper" in refusal(data).message


ODD = [
    b"",
    b" ",
    b"\x00",
    b"null",
    b"1",
    b'"run"',
    b"[]",
    b"{}",
    b"{",
    b'{"type":"ping"',
    b'{"type":"ping"}}',
    b'{"type":"ping"}\x00',
    b'{"type":"ping"} {"type":"ping"}',
    b'\xef\xbb\xbf{"type":"ping"}',
    '{"type":"ping"}'.encode("utf-16"),
    '{"type":"ping"}'.encode("utf-32-le"),
    b'{"type":"ping","request":"\xff"}',
    b'{"type":"ping","\xff":1}',
    b'{"type":"ping","request":"\xed\xa0\x80"}',
    b'{"type":"ping","request":"\xc0\x80"}',
    b'{"type":"ping","request":"\\ud800"}',
    b'{"type":"ping","request":"\\udc00\\ud800"}',
    b'{"type":"ping","request":"a\nb"}',
    b'{"type":"ping","request":"\\x41"}',
    b'{"type":"ping","request":NaN}',
    b'{"type":"ping",}',
    b"{'type':'ping'}",
    b'{"type":"ping"/**/}',
    b'{"type":"run","request":"7","input":NaN}',
    b'{"type":"run","request":"7","input":Infinity}',
    b'{"type":"run","request":"7","input":01}',
    b'{"type":"run","request":"7","input":"\xff"}',
    b'{"type":"run","request":"7","input":"\\ud800"}',
    b'{"type":"decide","request":"7","thread":"t","interrupt":"i","payload":1e999}',
    b'{"type":"decide","request":"7","thread":"t","interrupt":"i","payload":%b}' % (b"9" * 5_000),
    b'{"type":"decide","request":"7","thread":"t","interrupt":"i","payload":"\xff"}',
    b'{"type":"decide","request":"7","thread":"t","interrupt":"i","payload":{"a":NaN}}',
    b'{"type":"ping","type":"run"}',
    b'{"type":"run","type":"ping"}',
]


@pytest.mark.parametrize("data", ODD)
def test_odd_bytes_are_a_frame_error(data: bytes) -> None:
    assert refusal(data).code is ErrorCode.BAD_FRAME


def test_of_two_keys_of_one_name_the_last_counts() -> None:
    assert command(b'{"type":"ping","request":"1","request":"2"}') == PingCommand(request="2")
    assert command(b'{"type":"ping","type":"ping"}') == PingCommand()


@pytest.mark.parametrize(
    "payload", ["1e999", "9" * 5_000, '{"a":[1e999]}', "NaN", '"\\ud800"', "[", ""]
)
def test_an_answer_that_could_not_be_read_again_is_refused(payload: str) -> None:
    """It would be stored, and stop whoever has to hand it to the agent."""
    frame = '{"type":"decide","request":"7","thread":"t","interrupt":"i","payload":%s}'
    error = refusal(frame % payload)
    assert error.where.startswith("$")
    if payload in ("1e999", '{"a":[1e999]}'):
        assert error.where.startswith("$.payload")
        assert error.request == "7"


def test_a_long_quotation_is_cut() -> None:
    for text in ('{"type":"%s"}', '{"type":"ping","%s":1}'):
        assert len(refusal(text % ("x" * 100_000)).message) <= MAX_SHOWN_LENGTH + 1


def readable(data: bytes) -> None:
    """Check that reading gives a command or a FrameError, and that either can be used."""
    try:
        frame = command(data)
    except FrameError as error:
        told = error_frame(error, error.request)
    else:
        assert isinstance(frame, Command)
        data.decode()
        return
    assert told.request is None or 1 <= len(told.request) <= MAX_REQUEST_LENGTH
    assert strict(encode_frame(told))["code"] == "bad_frame"


@settings(max_examples=examples(300))
@given(st.binary(max_size=60))
@example(b'{"type":"ping","request":"\xff"}')
def test_any_bytes(data: bytes) -> None:
    readable(data)


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """Return a valid frame with some bytes lost, added, doubled or changed."""
    data = draw(st.sampled_from([text for text, _ in FRAMES])).encode()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.integers(0, 8)))
        odd = st.sampled_from([b'"', b"\\", b"{", b"}", b"[", b"\\ud800", b"\xff", b"\0", b"1e999"])
        data = data[:at] + draw(odd | st.just(data[at:to] * 2) | st.binary(max_size=3)) + data[to:]
    return data


@settings(max_examples=examples(300))
@given(mangled())
def test_mangled_frames(data: bytes) -> None:
    readable(data)


KEYS = ["type", "request", "thread", "run", "input", "payload", "token", "after", "status", "x"]


@settings(max_examples=examples(200))
@given(
    st.dictionaries(
        st.sampled_from(KEYS),
        st.sampled_from(["run", "follow", "cancel", "decide", "ping", "1"]) | json_values(),
    )
)
def test_objects_of_any_shape(fields: dict[str, Any]) -> None:
    readable(json.dumps(fields).encode())


@settings(max_examples=examples(100))
@given(json_values(10))
def test_any_json(value: Any) -> None:
    readable(json.dumps(value).encode())


# --- what is written -------------------------------------------------------------------------


def test_a_frame_leaves_out_what_is_absent() -> None:
    assert encode_frame(Pong()) == b'{"type":"pong"}'
    assert encode_frame(Pong(request="7")) == b'{"type":"pong","request":"7"}'
    error = ErrorFrame(code=ErrorCode.TOO_BIG, message="no", retry=False)
    assert json.loads(encode_frame(error)) == {
        "type": "error",
        "code": "too_big",
        "message": "no",
        "retry": False,
    }


def strict(data: bytes) -> Any:
    """Return what strict JSON says, without NaN and with each key once."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def never(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    return json.loads(data.decode(), object_pairs_hook=once, parse_constant=never)


@settings(max_examples=examples(60), deadline=None)
@given(ids(), logs(max_runs=1))
def test_an_event_frame_is_json_for_every_id_and_event(thread: str, log: list[Any]) -> None:
    for piece in merge(log, after=0):
        frame = strict(event_frame(ThreadId(thread), piece))
        first = {"from": f"{piece.last.epoch}-{piece.first}"}
        assert frame == {
            "id": str(piece.last),
            **(first if piece.first != piece.last.offset else {}),
            "thread": thread,
            "chunk": json.loads(piece.event.data),
        }


@given(texts(30), json_values(), st.integers(0, MAX_NUMBER), st.integers(1, MAX_NUMBER))
def test_an_event_frame_carries_any_text_and_value(
    text: str, value: Any, epoch: int, offset: int
) -> None:
    (entry,) = entries([{"type": "CUSTOM", "name": text, "value": value}])
    frame = strict(event_frame(ThreadId("t"), Piece(offset, Position(epoch, offset), entry.event)))
    assert frame["id"] == f"{epoch}-{offset}"
    assert frame["chunk"] == {"type": "CUSTOM", "name": text, "value": value}


def test_the_bytes_of_an_event_frame() -> None:
    (entry,) = entries([{"type": "CUSTOM", "name": "n", "value": 1}], first=42)
    chunk = b'"thread":"t1","chunk":{"type":"CUSTOM","name":"n","value":1}}'
    alone = Piece(42, Position(1, 42), entry.event)
    merged = Piece(37, Position(1, 42), entry.event)
    assert event_frame(ThreadId("t1"), alone) == b'{"id":"1-42",' + chunk
    assert event_frame(ThreadId("t1"), merged) == b'{"id":"1-42","from":"1-37",' + chunk
