"""Small stubs of libraries that a scan may not find installed, in the language of stub files.

They hold only what decides whether a value is JSON; of everything that they leave out, nothing is
known. ``tests/scan/stubs`` compares them with the libraries where those are installed.
"""

from collections.abc import Mapping

from netra_backend.scan.stubs import aio, binary, data, stdlib, web

STUBS: Mapping[str, str] = {
    **stdlib.STUBS,
    **binary.STUBS,
    **aio.STUBS,
    **web.STUBS,
    **data.STUBS,
}
"""Source by the name of the module."""
