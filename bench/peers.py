"""The peers: what other Python servers need to send a ready text to all of their sockets.

``python -m bench.peers NAME`` prints its port, then takes the orders of baseline.c: ``fan ROUNDS
PERIOD_US BURST``. Each does it as its own documentation shows.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable

import uvicorn
import uvloop

Fan = Callable[[int], Awaitable[int]]
"""Sends a burst to all sockets, and returns how many frames that were."""

TEXT = json.dumps({"chunk": "x" * 194})
"""With its header as long as the baseline's frame."""


async def orders(fan: Fan) -> None:
    """Carry out what stdin says until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        rounds, period_us, burst = (int(word) for word in line.split()[1:])
        due, deliveries = loop.time(), 0
        for _ in range(rounds):
            due += period_us / 1e6
            await asyncio.sleep(due - loop.time())
            deliveries += await fan(burst)
        sys.stdout.write(json.dumps({"deliveries": deliveries}) + "\n")
        sys.stdout.flush()
    os._exit(0)


def listening() -> socket.socket:
    """Return a listening socket, its port printed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    return listener


async def asgi(app: object, fan: Fan) -> None:
    """Serve an ASGI application with uvicorn, as it comes."""
    config = uvicorn.Config(app, log_level="warning")  # type: ignore[arg-type]
    serving = asyncio.ensure_future(uvicorn.Server(config).serve(sockets=[listening()]))
    await orders(fan)
    await serving


async def starlette() -> None:
    """``send_text`` in a loop."""
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket, WebSocketDisconnect

    sockets: list[WebSocket] = []

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        sockets.append(websocket)
        try:
            await websocket.receive_text()
        except WebSocketDisconnect:
            sockets.remove(websocket)

    async def fan(burst: int) -> int:
        for _ in range(burst):
            for one in sockets:
                await one.send_text(TEXT)
        return burst * len(sockets)

    await asgi(Starlette(routes=[WebSocketRoute("/ws", endpoint)]), fan)


async def fastapi() -> None:
    """The connection manager of FastAPI's documentation, with ``send_json``."""
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect

    sockets: list[WebSocket] = []
    app = FastAPI()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        sockets.append(websocket)
        try:
            await websocket.receive_text()
        except WebSocketDisconnect:
            sockets.remove(websocket)

    app.add_api_websocket_route("/ws", endpoint)
    data = json.loads(TEXT)

    async def fan(burst: int) -> int:
        for _ in range(burst):
            for one in sockets:
                await one.send_json(data)
        return burst * len(sockets)

    await asgi(app, fan)


async def websockets() -> None:
    """``broadcast`` of the websockets library."""
    from websockets.asyncio.server import ServerConnection, broadcast, serve

    async def endpoint(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(endpoint, sock=listening(), compression=None) as server:

        async def fan(burst: int) -> int:
            for _ in range(burst):
                broadcast(server.connections, TEXT)
            return burst * len(server.connections)

        await orders(fan)


async def picows() -> None:
    """``send`` of each transport in a loop."""
    from picows import WSListener, WSMsgType, WSTransport, ws_create_server

    transports: list[WSTransport] = []

    class Listener(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            transports.append(transport)

    data = TEXT.encode()
    server = await ws_create_server(lambda _: Listener(), sock=listening())

    async def fan(burst: int) -> int:
        for _ in range(burst):
            for one in transports:
                one.send(WSMsgType.TEXT, data)
        return burst * len(transports)

    async with server:
        await orders(fan)


async def socketio() -> None:
    """``emit`` of python-socketio to everybody."""
    from socketio import ASGIApp, AsyncServer

    server = AsyncServer(async_mode="asgi", ping_interval=600)
    sids: list[str] = []
    server.on("connect", lambda sid, _environ: sids.append(sid))
    data = json.loads(TEXT)

    async def fan(burst: int) -> int:
        for _ in range(burst):
            await server.emit("chunk", data)
        return burst * len(sids)

    await asgi(ASGIApp(server), fan)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(globals()[sys.argv[1]]())
