"""How hypothesis looks for examples: the same ones each time, unless asked to explore.

Invariant: `make test` gives the same result on every machine. To search further than that,
`HYPOTHESIS_PROFILE=explore make test`; what it finds becomes an `@example`.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A busy machine is no failure: no deadlines, and no complaint that data came slowly.
ci = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", ci)
settings.register_profile("explore", ci, derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
