"""A script that Node runs to its end."""

import asyncio
import os
from asyncio.subprocess import PIPE
from pathlib import Path

BOUND = 60.0
"""Seconds after which a script has hung."""


async def printed_by(script: Path, *arguments: str, **environment: str) -> str:
    """Return what the script prints; fail with its complaint if it does not end well."""
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
    assert process.returncode == 0, err.decode()
    return out.decode()
