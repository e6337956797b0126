"""The house: what everybody who serves clients shares."""

from functools import cached_property

from msgspec import Struct

from netra_backend.agents.runner import Runner
from netra_backend.config import Settings
from netra_backend.core.ports import Store
from netra_backend.server.access import Access
from netra_backend.server.hub import Hub
from netra_backend.server.pool import Pool
from netra_backend.server.revocations import UnrevokedAuth
from netra_backend.server.seating import Seating
from netra_backend.server.terms import Terms, terms_of


class House(Struct, frozen=True, dict=True):
    """What all connections of a server share.

    `key_dir` is the folder with the key of development sign-in, None with any other sign-in.
    """

    settings: Settings
    authenticator: UnrevokedAuth
    store: Store
    access: Access
    runner: Runner
    hub: Hub
    pool: Pool
    seating: Seating
    key_dir: str | None = None

    @cached_property
    def terms(self) -> Terms:
        """What every client of ``netra.v1`` is told and held to."""
        return terms_of(self.settings, self.runner)
