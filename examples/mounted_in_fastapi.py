"""Netra inside an existing FastAPI application.

Run it with: pip install fastapi; uvicorn mounted_in_fastapi:app, and open http://127.0.0.1:8000/
"""

from collections.abc import AsyncIterator
from uuid import uuid4

from ag_ui.core import BaseEvent, RunAgentInput, TextMessageChunkEvent
from fastapi import FastAPI

import netra_backend


async def greeter(input: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Greet; a chunk stands for the start, the content and the end of a message."""
    yield TextMessageChunkEvent(message_id=str(uuid4()), role="assistant", delta="Hello!")


netra = netra_backend.create_app(agents={"greeter": greeter})
app = FastAPI(lifespan=netra.lifespan)


@app.get("/api/health")
def health() -> dict[str, str]:
    """Answer as before: a route of the application that was there first."""
    return {"status": "fine"}


app.mount("/", netra)
