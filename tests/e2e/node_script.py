"""A script that Node runs to its end."""

import asyncio
import os
from asyncio.subprocess import PIPE
from pathlib import Path

BOUND = 60.0
"""Seconds after which a script has hung."""


async def printed_by(script: Path, *arguments: str, **environment: str) -> str:
    """Return what the script prints; fail with its complaint if it does not end well."""
    code, out, err = await _run(script, arguments, environment)
    assert code == 0, err
    return out


async def ended(script: Path, **environment: str) -> tuple[int | None, str]:
    """Return the script's exit code, and what it has printed."""
    code, out, _ = await _run(script, (), environment)
    return code, out


async def _run(
    script: Path, arguments: tuple[str, ...], environment: dict[str, str]
) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(script),
        *arguments,
        env={**os.environ, **environment},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), BOUND)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()
