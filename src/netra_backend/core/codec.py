"""The codec: bytes of the wire to frames and back, with every limit named.

Reading never raises anything but FrameError, whatever the bytes. Writing makes an event's frame
once; all followers share the bytes.
"""

import re
from typing import NoReturn

import msgspec
from ag_ui.core import RunAgentInput
from msgspec import Raw
from pydantic import ValidationError

from netra_backend.core.frames import ClientFrame, ServerFrame
from netra_backend.core.ids import ThreadId
from netra_backend.core.positions import Position
from netra_backend.core.resume import Piece
from netra_backend.errors import ErrorCode, FrameError

MAX_DEPTH = 100
"""Arrays and objects inside each other, in a frame of a client."""

MAX_REQUEST_LENGTH = 64
"""Characters of a command's ``request``."""

_decoder: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)
_encode = msgspec.json.Encoder().encode
_request = msgspec.json.Decoder(dict[str, Raw]).decode
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_WHERE = re.compile(r" - at `(\$[^`]*)`\Z")


def decode_command(data: bytes, *, frame_bytes: int) -> ClientFrame:
    """Return the command that `data` spells, at most `frame_bytes` long.

    Raises FrameError: ``too_big``, or ``bad_frame`` with the path of what was wrong, and with
    the command's ``request`` if that much could be read.
    """
    if len(data) > frame_bytes:
        raise FrameError(
            f"the frame has {len(data)} bytes; the limit is {frame_bytes}",
            code=ErrorCode.TOO_BIG,
        )
    _check_depth(data)
    try:
        command: ClientFrame = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse(data, error)
    request = command.request
    if request is not None and not 1 <= len(request) <= MAX_REQUEST_LENGTH:
        raise FrameError(
            f"request must have 1 to {MAX_REQUEST_LENGTH} characters", where="$.request"
        )
    return command


def decode_input(raw: bytes, *, where: str = "$.input") -> RunAgentInput:
    """Return the AG-UI run input that `raw` spells.

    Raises FrameError (``bad_input``) with the path of the first field that was wrong.
    """
    _check_depth(raw)
    try:
        return RunAgentInput.model_validate_json(raw)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        path = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]
        )
        raise FrameError(
            problem["msg"], code=ErrorCode.BAD_INPUT, where=f"{where}{path}"
        ) from error


def encode_frame(frame: ServerFrame) -> bytes:
    """Return the bytes of a frame that has a ``type``."""
    return _encode(frame)


def event_frame(thread: ThreadId, piece: Piece) -> bytes:
    """Return the event frame of `piece`: ``{"id", "from"?, "thread", "chunk"}``.

    An id has no character that JSON would escape (`core.ids`), so the frame is joined, not
    encoded: the event's own bytes were made when it was appended.
    """
    first, last = piece.first, piece.last
    start = f'"from":"{Position(last.epoch, first)}",' if first != last.offset else ""
    return b'{"id":"%b",%b"thread":"%b","chunk":%b}' % (
        str(last).encode(),
        start.encode(),
        thread.encode(),
        piece.event.data,
    )


def _check_depth(data: bytes) -> None:
    """Raise FrameError if `data` nests deeper than MAX_DEPTH; costs two counts normally."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _BRACKETS.finditer(data):
        mark = match[0]
        if mark in (b"[", b"{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise FrameError(f"the frame nests deeper than {MAX_DEPTH}")
        elif mark in (b"]", b"}"):
            depth -= 1


def _refuse(data: bytes, error: Exception) -> NoReturn:
    """Raise the FrameError for bytes that are no command."""
    text = str(error)
    found = _WHERE.search(text)
    where = found[1] if found else "$"
    raise FrameError(_WHERE.sub("", text), where=where, request=_request_of(data)) from error


def _request_of(data: bytes) -> str | None:
    """Return the ``request`` of a command that is otherwise wrong, if it has a usable one."""
    try:
        request = msgspec.json.decode(_request(data).get("request", b"null"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(request, str) and 1 <= len(request) <= MAX_REQUEST_LENGTH:
        return request
    return None
