"""How long the laws are tried: briefly by ``make test``, all night by ``make nightly``.

What is large takes most of the time, and goes
through the whole path in ``laws/test_corpus.py`` each time: elsewhere it waits for the night.
"""

from hypothesis import HealthCheck, settings

from tests.jsonlog.hostile_values import LARGE, VALUES
from tests.night import NIGHTLY

ROUNDS = 100 if NIGHTLY else 8
"""Of a storm of forks or signals."""

NAMES = [name for name in VALUES if NIGHTLY or not name.startswith(LARGE)]
"""Of the hostile values."""

briefly = settings(
    max_examples=10_000 if NIGHTLY else 25,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
"""How many examples of what is generated."""
