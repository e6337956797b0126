"""The lease clock: up to which time leases have run out because their holders do not renew them.

A lease can also run out because nobody could renew it: the process that keeps the store stood
still, the disk did, the whole machine was suspended, or the wall clock, in which leases are
written, was set forward. Its holder is alive then, and goes on. Such a time is a gap between what
this node itself has had renewed: after one, no lease that ran out later than before it counts until
every holder has had the time of one more lease, which is three times what it needs to renew. A node
that begins cannot know of one, and takes what was before for one.
"""


class LeaseClock:
    """Knows when this node last had leases renewed; `now` is when it began. All in milliseconds."""

    def __init__(self, lease_ms: int, now: int) -> None:
        self._lease_ms = lease_ms
        self._asked = now
        self._counts_from = now + lease_ms
        self._upto = 0

    @property
    def upto(self) -> int:
        """The time up to which leases have run out for good; 0 where that is not known yet.

        Those that a store knows to be over have run out at 0, and always count.
        """
        return self._upto

    def is_due(self, now: int) -> bool:
        """Return whether a third of a lease has passed since this node had leases renewed.

        It may have where the clock was set back.
        """
        return not 0 <= now - self._asked < self._lease_ms // 3

    def renewed(self, asked: int, answered: int) -> None:
        """Learn that the store took renewals: asked for at the one time, answered by the other.

        They are due at each third of a lease. From half a lease on without one, others may have
        lost a lease for the same reason: it takes two thirds of one until they do. A clock that was
        set back, and with it the leases from then on, hides such a time: it is as in the beginning.
        """
        was_set_back = min(asked, answered) < self._asked
        if was_set_back:
            self._upto = 0
        if was_set_back or answered - self._asked > self._lease_ms // 2:
            self._counts_from = answered + self._lease_ms
        self._asked = asked
        if answered >= self._counts_from:
            self._upto = answered
