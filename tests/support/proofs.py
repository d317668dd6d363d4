"""How long a search of hypothesis takes: a moment, a seeded slice, or as long as it likes.

``HYPOTHESIS_PROFILE=thorough`` runs the long searches whole: ``HYPOTHESIS_EXAMPLES``
examples (5,000), other ones each time.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


def examples(slice_, moment=15):
    """Run a test with few examples, and as a slow one with more."""
    if THOROUGH:
        slice_ = int(os.environ.get("HYPOTHESIS_EXAMPLES", "5000"))
    slow = pytest.param(slice_, marks=pytest.mark.slow, id="slice")
    return pytest.mark.parametrize(
        "examples", [pytest.param(moment, id="moment"), slow]
    )


def searching(examples, steps=None):
    """Return the settings of a search."""
    more = {} if steps is None else {"stateful_step_count": steps}
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=bool(os.environ.get("CI")) and not THOROUGH,
        suppress_health_check=list(HealthCheck),
        # To explain what failed takes longer than to find it.
        phases=[phase for phase in Phase if phase is not Phase.explain],
        **more,
    )
