"""A local HTTP API of Gemini, as its client streams answers, that plays a stage."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.contract.stage import Call, Say, Stage, Think
from tests.live import serving


@asynccontextmanager
async def gemini(stage: Stage) -> AsyncIterator[str]:
    """Serve the API in this event loop; return its base URL."""

    async def generate(request: Request) -> StreamingResponse:
        asked = json.loads(await request.body())
        return StreamingResponse(_lines(stage, asked), media_type="text/event-stream")

    path = "/{version}/models/{call:path}"
    async with serving(Starlette(routes=[Route(path, generate, methods=["POST"])]), "none") as port:
        yield f"http://127.0.0.1:{port}"


async def _lines(stage: Stage, asked: dict[str, Any]) -> AsyncIterator[str]:
    answered = any("functionResponse" in part for part in asked["contents"][-1]["parts"])
    async for part in stage.parts(answered):
        yield _line({"content": {"role": "model", "parts": [_part(part)]}})
    yield _line({"content": {"role": "model", "parts": []}, "finishReason": "STOP"})


def _part(part: Say | Think | Call) -> dict[str, Any]:
    if isinstance(part, Call):
        return {"functionCall": {"name": part.name, "args": part.arguments}}
    return {"text": part.text, **({"thought": True} if isinstance(part, Think) else {})}


def _line(candidate: dict[str, Any]) -> str:
    return f"data: {json.dumps({'candidates': [{'index': 0, **candidate}]})}\n\n"
