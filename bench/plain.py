"""The plain loop: what a team writes by hand with Starlette, without log, resume or limits.

``python -m bench.plain`` prints its port. Each frame of a client is a RunAgentInput; the events
of the agent are sent back as they come.
"""

import socket
import sys

import uvicorn
from ag_ui.core import RunAgentInput
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.agent import stream


async def serve(websocket: WebSocket) -> None:
    """Run the agent for each frame, and send what it yields."""
    await websocket.accept()
    try:
        while True:
            given = RunAgentInput.model_validate_json(await websocket.receive_text())
            async for event in stream(given):
                text = event.model_dump_json(by_alias=True, exclude_none=True)
                await websocket.send_text(text)
    except WebSocketDisconnect:
        pass


def main() -> None:
    """Serve on a free port of loopback."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    app = Starlette(routes=[WebSocketRoute("/ws", serve)])
    config = uvicorn.Config(app, loop="uvloop", log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
