"""The codec: bytes of the wire to frames and back, with every limit named.

Reading never raises anything but FrameError, whatever the bytes. Writing makes an event's frame
once; all followers share the bytes.
"""

import json
import re
from typing import Any, TypeVar

import msgspec
from ag_ui.core import RunAgentInput
from msgspec import Raw
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from netra_backend.core.frames import (
    MAX_REQUEST_LENGTH,
    ClientFrame,
    DecideCommand,
    ServerFrame,
)
from netra_backend.core.ids import ThreadId, ThreadName
from netra_backend.core.resume import Piece
from netra_backend.errors import ErrorCode, FrameError

T = TypeVar("T")

MAX_DEPTH = 100
"""Arrays and objects inside each other, in a frame of a client."""

MAX_SHOWN_LENGTH = 300
"""Characters of an error's text: it may quote what the client sent."""

MAX_PROBLEMS = 1_000
"""Wrong fields of one input that are looked through for the first one."""

_decoder: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)
_encode = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, Any]).decode
_raw_object = msgspec.json.Decoder(dict[str, Raw]).decode
_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
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
    reading = "$"
    try:
        _check(data)
        command: ClientFrame = _decoder.decode(data)
        if isinstance(command, DecideCommand):
            reading = "$.payload"
            msgspec.json.decode(command.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(error, request=_request_of(data), root=reading) from error
    request = command.request
    if request is not None and not 1 <= len(request) <= MAX_REQUEST_LENGTH:
        raise FrameError(
            f"request must have 1 to {MAX_REQUEST_LENGTH} characters", where="$.request"
        )
    return command


def decode_as(data: bytes, shape: type[T], *, code: ErrorCode = ErrorCode.BAD_FRAME) -> T:
    """Return the frame of another dialect, or the body, that `data` spells, as `shape`.

    Raises FrameError with the code, and the path of what was wrong.
    """
    try:
        _check(data)
        return msgspec.json.decode(data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(error, code=code) from error


def decode_input(raw: bytes, *, where: str = "$.input") -> RunAgentInput:
    """Return the AG-UI run input that `raw` spells.

    Raises FrameError (``bad_input``) with the path of the first field that was wrong.
    """
    try:
        _check(raw)
        given = _object(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(error, code=ErrorCode.BAD_INPUT, root=where) from error
    try:
        return RunAgentInput.model_validate(given)
    except ValidationError as error:
        path, message = _problem(error, given)
        raise FrameError(message, code=ErrorCode.BAD_INPUT, where=f"{where}{path}") from error


def encode_frame(frame: ServerFrame) -> bytes:
    """Return the bytes of a frame that has a ``type``."""
    return _encode(frame)


def event_frame(thread: ThreadName | ThreadId, piece: Piece) -> bytes:
    """Return the event frame of `piece`: ``{"id", "from"?, "thread", "chunk"}``.

    A name has no character that JSON would escape (`core.ids`), so the frame is joined, not
    encoded: the event's own bytes were made when it was appended.
    """
    epoch, offset = piece.last
    start = b'"from":"%d-%d",' % (epoch, piece.first) if piece.first != offset else b""
    name = thread.encode()
    return b'{"id":"%d-%d",%b"thread":"%b","chunk":%b}' % (
        epoch, offset, start, name, piece.event.data,
    )  # fmt: skip


def _check(data: bytes) -> None:
    """Raise a DecodeError or UnicodeDecodeError for what the decoder would let pass.

    It does not look into text that it skips, and it takes nesting as deep as its stack. This
    costs two counts and one look for bytes that are no ASCII, normally.
    """
    if not data.isascii():
        data.decode()
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _BRACKETS.finditer(data):
        mark = match[0]
        if mark in (b"[", b"{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise msgspec.DecodeError(f"this nests deeper than {MAX_DEPTH}")
        elif mark in (b"]", b"}"):
            depth -= 1


def _refusal(
    error: Exception,
    *,
    request: str | None = None,
    code: ErrorCode = ErrorCode.BAD_FRAME,
    root: str = "$",
) -> FrameError:
    """Return the FrameError for bytes that could not be decoded."""
    text = _said(error)
    found = _WHERE.search(text)
    where = f"{root}{found[1][1:]}" if found else root
    return FrameError(_short(_WHERE.sub("", text)), code=code, where=where, request=request)


def _said(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"JSON is malformed: it is not UTF-8 (byte {error.start})"
    return str(error)


def _problem(error: ValidationError, given: Any) -> tuple[str, str]:
    """Return the path and the text of the first field that was wrong.

    Of the alternatives that a field may be, the one that was right the furthest is meant.
    """
    if error.error_count() > MAX_PROBLEMS:
        return "", f"{error.error_count()} fields are wrong"
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    paths = [_path(problem, given) for problem in problems]
    path, problem = max(
        (item for item in zip(paths, problems, strict=True) if item[0].startswith(paths[0])),
        key=lambda item: len(item[0]),
    )
    return path, _short(problem["msg"])


def _path(problem: ErrorDetails, given: Any) -> str:
    """Return where the problem is, without what pydantic names there that is not in the data."""
    path, missing = "", problem["type"] == "missing"
    for index, part in enumerate(problem["loc"]):
        last = index == len(problem["loc"]) - 1
        if isinstance(part, int) and isinstance(given, list):
            path, given = f"{path}[{part}]", given[part]
        elif isinstance(given, dict) and (part in given or (missing and last)):
            path, given = f"{path}.{part}", given.get(part)
    return path


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_LENGTH else f"{text[:MAX_SHOWN_LENGTH]}…"


def _request_of(data: bytes) -> str | None:
    """Return the ``request`` of a command that is otherwise wrong, if it has a usable one."""
    try:
        request = msgspec.json.decode(_raw_object(data).get("request", b"null"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        request = _request_beside_halves(data)
    if isinstance(request, str) and 1 <= len(request) <= MAX_REQUEST_LENGTH:
        return request
    return None


def _request_beside_halves(data: bytes) -> object:
    """Return the same of a command that has half of a surrogate pair in some other text.

    RFC 8259 (section 8.2) allows it and JavaScript writes it; msgspec refuses all of the frame.
    """
    try:
        given = json.loads(data, parse_int=float)  # of any number of digits
        request = given.get("request") if isinstance(given, dict) else None
        return request.encode().decode() if isinstance(request, str) else None
    except (ValueError, RecursionError):
        return None
