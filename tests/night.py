"""Whether it is night: ``make test`` tries the laws briefly, ``make nightly`` all night.

``--hypothesis-profile=nightly`` switches over; no ``conftest.py`` may import this, as it would be
asked before hypothesis has loaded the profile. A proof that is no matter of numbers, but takes
minutes or repeats what another has shown, is marked ``nightly`` instead.
"""

from hypothesis import settings

NIGHTLY = settings.get_current_profile_name() == "nightly"


def examples(usual: int) -> int:
    """Return how many examples of a law to try: a third of the usual by day, 30 times at night."""
    return 30 * usual if NIGHTLY else usual // 3
