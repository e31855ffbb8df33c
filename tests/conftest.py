"""What all tests share: the depth of the property tests.

``MDL_HYPOTHESIS_PROFILE=deep`` searches for minutes instead of seconds.
"""

import os

from hypothesis import HealthCheck, settings

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile("moderate", max_examples=100, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("deep", max_examples=5_000, deadline=None, suppress_health_check=_SLOW, print_blob=True)
settings.load_profile(os.environ.get("MDL_HYPOTHESIS_PROFILE") or "moderate")
