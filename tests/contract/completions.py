"""A local HTTP API of chat completions, as OpenAI's streams them, that plays a stage."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.contract.stage import SECRET, Call, Say, Stage, Think, refused
from tests.live import serving


@asynccontextmanager
async def completions(stage: Stage) -> AsyncIterator[str]:
    """Serve the API in this event loop; return its base URL."""

    async def complete(request: Request) -> Response:
        asked = json.loads(await request.body())
        told = [
            ([call["id"] for call in message.get("tool_calls") or ()], message.get("tool_call_id"))
            for message in asked["messages"]
        ]
        if refused(told):
            problem = f"a call without its result, or a result without its call: {told}"
            return JSONResponse({"error": {"message": problem}}, 400)
        return StreamingResponse(_lines(stage, asked), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    async with serving(app, "none") as port:
        yield f"http://127.0.0.1:{port}/v1"


async def _lines(stage: Stage, asked: dict[str, Any]) -> AsyncIterator[str]:
    answered = asked["messages"][-1]["role"] == "tool"
    called = 0
    yield _line({"role": "assistant", "content": ""})
    try:
        async for part in stage.parts(answered):
            for delta in _deltas(part, called):
                yield _line(delta)
            called += isinstance(part, Call)
    except RuntimeError:
        yield f"data: {json.dumps({'error': {'message': SECRET, 'code': 500}})}\n\n"
        return
    yield _line({}, "tool_calls" if called else "stop")
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    yield f"data: {json.dumps({**_chunk([]), 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def _deltas(part: Say | Think | Call, place: int) -> list[dict[str, Any]]:
    """Return what adds `part`; calls are counted from zero in every answer, as some models do."""
    if isinstance(part, Say):
        return [{"content": part.text}]
    if isinstance(part, Think):
        return [{"reasoning_content": part.text}]
    call = {"index": place, "id": f"call_{place}", "type": "function"}
    return [
        {"tool_calls": [{**call, "function": {"name": part.name, "arguments": ""}}]},
        {"tool_calls": [{"index": place, "function": {"arguments": part.json}}]},
    ]


def _line(delta: dict[str, Any], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps(_chunk([choice]))}\n\n"


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "completion",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "fake",
        "choices": choices,
    }
