"""All that ``netra`` imports, imported for the processes that `tests/forked.py` forks.

The garbage of it is looked for here, once, and in none of them: it would copy their memory.
"""

import gc

import orjson  # noqa: F401
import uvicorn.lifespan.on  # noqa: F401
import uvloop  # noqa: F401

import netra_backend.cli.check
import netra_backend.cli.commands
import netra_backend.cli.replay
import netra_backend.cli.serve
import netra_backend.cli.server
import netra_backend.cli.tail
import netra_backend.cli.token
import netra_backend.jsonlog.installed
import netra_backend.server.app  # noqa: F401

gc.collect()
gc.freeze()
