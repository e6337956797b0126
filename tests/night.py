"""Whether it is night: ``make test`` tries the laws briefly, ``make nightly`` all night.

``--hypothesis-profile=nightly`` switches over. A proof that is no matter of numbers, but takes
minutes, is marked ``nightly`` instead.
"""

from hypothesis import settings

NIGHTLY = settings.get_current_profile_name() == "nightly"
