"""The protocol class for uvicorn's HTTP: what a client sends, and does not take, is bounded.

uvicorn waits for ever for a peer that has connected and says nothing, or a byte now and then, and
for one that takes nothing of its answer. Give `HttpProtocol` to uvicorn's option ``http``, as
``netra serve`` does: ``uvicorn --http netra_backend.server.http_protocol:HttpProtocol``.
"""

import asyncio
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from netra_backend.errors import ErrorCode, Refused
from netra_backend.server import deadlines, outlet
from netra_backend.server.clockwork import shared
from netra_backend.server.errors import raw_refusal
from netra_backend.server.opening import Fields, asks_for_websocket
from netra_backend.server.request_head import (
    HEAD_BYTES,
    check_head,
    other_protocol,
    size_of_head,
    without_upgrade,
)
from netra_backend.server.target import with_path

PIPELINED = 64
"""Requests that may wait until those before them are answered: each takes some kilobytes."""

_NO_HTTP = Refused(ErrorCode.BAD_REQUEST, "Invalid HTTP request received.")
_TOO_MANY = Refused(ErrorCode.TOO_MANY, f"{PIPELINED} requests of the connection wait already.")


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with bounds for what comes and for what is not taken.

    It is uvicorn's in full only once a request has come that opens no WebSocket: most connections
    of ours never have one, and what uvicorn prepares for it takes longer than the opening.
    """

    timeout_keep_alive_task = None  # as uvicorn's __init__ has it, which may not have run yet
    url = b""
    headers: Fields = []  # noqa: RUF012 - each request has a list of its own
    _fault = _NO_HTTP

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._given = (config, server_state, app_state, _loop)
        self._is_whole = False
        self._is_opening = False
        self._is_over = False  # what still comes is for nobody
        self._in_head = True
        self._running: Any = None
        self._unread = 0  # bytes since the head that were no body: trailers, mostly
        waiting = shared(server_state, deadlines.Deadlines)
        self._late = waiting.late
        self._untaken = waiting.untaken
        self._left = 0  # bytes of finished answers when it was last looked at
        self._arrived = 0  # bytes that came last
        self._received = 0  # bytes of a head that came before
        self._most = config.h11_max_incomplete_event_size or HEAD_BYTES
        self.connections = server_state.connections
        self.parser = self._new_parser()
        self.ws_protocol_class = config.ws_protocol_class

    def _make_whole(self) -> None:
        """Become uvicorn's protocol, with the parser that has begun to read."""
        if not self._is_whole:
            self._is_whole = True
            parser, transport = self.parser, self.transport
            super().__init__(*self._given)
            self.parser = parser
            super().connection_made(transport)
            outlet.hold_little(transport)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        self.transport = transport
        self.connections.add(self)
        self._late.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._late.remove(self)
        self._untaken.remove(self)
        if self._running is not None:  # uvicorn tells only the newest of pipelined requests
            self._running.disconnected = True
            self._running.message_event.set()
        if self._is_whole:
            super().connection_lost(exc)
        else:
            self.connections.discard(self)
            self.parser = None  # type: ignore[assignment]

    def shutdown(self) -> None:
        """End because the server stops: uvicorn's word for it."""
        if self._is_whole:
            super().shutdown()
            self._left = self.transport.get_write_buffer_size()
            if self._left:
                self.loop.call_later(deadlines.LEAVE_SECONDS, self._leave)
        else:
            self.transport.close()

    def _leave(self) -> None:
        """Wait for a client that takes something, while the server stops."""
        if self._takes_or_ends():
            self.loop.call_later(deadlines.LEAVE_SECONDS, self._leave)

    def look(self) -> None:
        """Wait for the client as long as it takes something."""
        if self._takes_or_ends():
            self._untaken.add(self)

    def _takes_or_ends(self) -> bool:
        """Return whether the client has taken a part of what is unsent; end it if it takes none."""
        before, self._left = self._left, self.transport.get_write_buffer_size()
        if self._left and self._left >= before:
            self.break_off()
        return 0 < self._left < before

    def resume_writing(self) -> None:
        """Go on: the client has taken something."""
        super().resume_writing()
        if self in self._untaken:
            self._await_taking()

    def _await_taking(self) -> None:
        self._left = self.transport.get_write_buffer_size()
        if self._left:
            self._untaken.add(self)
        else:
            self._untaken.remove(self)

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of the head; for the first since the connection was made."""
        self.url, self.headers = b"", []
        self._in_head = True
        self._received = self._unread = 0
        if self not in self._late:
            self._late.add(self)

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if self._in_head:  # a trailer is no header (RFC 9110 section 6.5.1); we know none
            self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole, unless it is read anew."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """End soon after a request that was answered before it was whole, if no other begins."""
        super().on_response_complete()
        if self._is_over:  # else uvicorn would end it as one that is kept open for nothing
            self._unset_keepalive_if_required()
        self._await_taking()
        if not self.pipeline and self.cycle.more_body and not self.transport.is_closing():
            self._late.add(self)

    def on_headers_complete(self) -> None:
        """The head is whole. One that is too long ends the parsing, as if it were no HTTP."""
        self._late.remove(self)
        if self in self._untaken:
            self._await_taking()
        if (
            self._received + self._arrived > self._most
            and size_of_head(self.url, self.headers) > self._most
        ):
            raise ValueError("the head is too long")
        if self._is_whole and len(self.pipeline) == PIPELINED:
            self._fault = _TOO_MANY
            raise ValueError(_TOO_MANY.message)
        self.url = with_path(self.url)  # uvicorn fails where there is none
        self._is_opening = (
            self.ws_protocol_class is not None
            and self.parser.should_upgrade()
            and self.parser.get_method() == b"GET"  # RFC 6455 section 4.1
            and self.parser.get_http_version() == "1.1"
            and not self._is_answering()
            and asks_for_websocket(self.headers)
        )
        if not self._is_opening:  # else `Protocol` looks at the rest
            self._check_head()
        self._in_head = False  # only now: what is refused before is a fault of the head
        if self.parser.should_upgrade():  # then this is not the last word: see `data_received`
            return
        self._begin_request()
        super().on_headers_complete()

    def _check_head(self) -> None:
        parser = self.parser
        version = parser.get_http_version()
        try:
            check_head(parser.get_method(), version, self.url, self.headers)
        except Refused as refusal:
            self._fault = refusal
            raise

    def _is_answering(self) -> bool:
        """Return whether an earlier request of this connection is still being answered."""
        return self._running is not None and not self._running.response_complete

    def _begin_request(self) -> None:
        """Do what uvicorn does at the begin of a request, with what has been read of it."""
        url, fields = self.url, self.headers
        self._make_whole()
        super().on_message_begin()
        self.scope["extensions"] = {outlet.EXTENSION: outlet.DirectOutlet(self)}  # type: ignore[dict-item]
        self.url = url
        self.headers += fields
        # A client of HTTP/1.0 would take it for the answer (RFC 9110 section 10.1.1).
        self.expect_100_continue = self.parser.get_http_version() != "1.0" and any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in fields
        )

    def data_received(self, data: bytes) -> None:
        """Take what came; refuse a head that does not end, and read no further.

        What has come behind a handshake are the first frames of an impatient client. uvicorn
        drops them.
        """
        if self._is_over:
            return
        self._arrived = len(data)
        self._unread += 0 if self._in_head else self._arrived
        self._stop_idling()
        rest = data
        while True:
            try:
                self.parser.feed_data(rest)
                break
            except HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except HttpParserError as error:
                self._refuse(str(error), rest)
                return
            if self._is_opening:
                self._upgrade(rest)
                return
            rest = self._without_upgrade() + rest
        if not self._in_head and self._unread > self._most:
            self.transport.abort()
        elif self._in_head and self in self._late and not self.transport.is_closing():
            self._received += self._arrived
            if self._received > self._most:
                self._refuse()

    def _without_upgrade(self) -> bytes:
        """Return the head that was read without an upgrade that is not taken, to be read anew."""
        parser, self.parser = self.parser, self._new_parser()
        version = parser.get_http_version()
        return without_upgrade(parser.get_method(), version, self.url, self.headers)

    def _new_parser(self) -> HttpRequestParser:
        parser = HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        return parser

    def _stop_idling(self) -> None:
        """Have the next head come in time, which may begin with empty lines.

        uvicorn would wait for it for ever once there was a byte of it.
        """
        was_idle = self.timeout_keep_alive_task is not None
        self._unset_keepalive_if_required()
        if was_idle and self not in self._late:
            self._late.add(self)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio's has both
        """Answer what came whole, though its client has closed its side (RFC 9293 section 3.6).

        uvicorn leaves it without an answer. Of an answer that has begun, as a stream, it is the
        end: a client that has gone shows in no other way. TLS has no half of a connection.
        """
        running = self._running
        if (
            not self._is_answering()
            or running.response_started
            or self.cycle.more_body
            or self.transport.get_extra_info("sslcontext") is not None
        ):
            return None
        self.cycle.keep_alive = False
        return True

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        if cycle.scope["http_version"] == "1.0":
            app = outlet.without_chunks(cycle, app)
        if not cycle.keep_alive:
            cycle.transport = outlet.LastTransport(self)
        super()._start_asgi_task(cycle, app)

    def _refuse(self, cause: str | None = None, said: bytes = b"") -> None:
        """Refuse what was `said`, which the parser could not read, or a head that is too long.

        Behind a request that is still being answered nothing can be said: it would stand in that
        answer, or for it. When too many wait for theirs, they get them, and then it is the end.
        """
        fault = self._fault
        if max(size_of_head(self.url, self.headers), self._received) > self._most:
            fault = Refused(ErrorCode.HEAD_TOO_BIG)
        elif fault is _NO_HTTP and not self.headers:
            fault = other_protocol(said) or fault
        peer = self.transport.get_extra_info("peername")
        why = cause if fault is _NO_HTTP else None  # else it is that a callback has raised
        told = raw_refusal("request", fault.code, fault.message, peer=peer, cause=why)
        if fault is _TOO_MANY:
            self._is_over = True
            self.cycle.keep_alive = False
            return
        is_later = self._in_head or self.cycle is not self._running
        if not self._is_answering():
            self._is_over = True
            self.transport.write(told)
            self.end()
        elif is_later or self._running.response_started:
            self.break_off()
        else:
            self.transport.write(told)
            self.transport.close()

    def _should_upgrade(self) -> bool:
        return self._is_opening

    def _upgrade(self, rest: bytes) -> None:
        """Hand the socket over; to our protocol class without spelling the request out again.

        Nothing of this object is left to the garbage collector: its parser knows it.
        """
        kind: Any = self.ws_protocol_class
        if hasattr(kind, "begin"):
            self.connections.discard(self)
            config, server_state, *_ = self._given
            path = self.url.decode("ascii")
            entered = kind.enter(config, server_state, self.transport, path, self.headers, rest)
            if entered is not True:
                protocol = kind(*self._given)
                protocol.connection_made(self.transport)
                self.transport.set_protocol(protocol)
                protocol.begin(path, self.headers, rest, entered or None)
        else:
            self._begin_request()
            self.scope["method"] = self.parser.get_method().decode("ascii")
            self.handle_websocket_upgrade()
        self.parser = self.scope = self.headers = None  # type: ignore[assignment]

    def break_off(self) -> None:
        """End the answer that is being sent as it is, without what its client has not taken.

        uvicorn calls an answer that its application does not complete an error of the application.
        """
        if self._running is not None:
            self._running.disconnected = True
        if self._is_answering() and self._running.scope["http_version"] == "1.0":
            outlet.reset(self.transport)  # any other end would be that of the answer
        else:
            outlet.cut(self.transport)

    def end(self) -> None:
        """End the connection; take what its client still sends for a while, or until it ends.

        Else the system would reset it, and take the answer from a client that has not read it yet
        (RFC 9112 section 9.6). TLS has no half of a connection.
        """
        is_whole = self._is_whole and not (self.cycle.more_body or self._is_over)
        if is_whole or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self._is_over = True
            self.transport.write_eof()
            self._late.add(self)

    def cut_off(self) -> None:
        """End the connection at once."""
        self.transport.abort()
