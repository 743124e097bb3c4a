"""How property tests choose their examples: always the same ones in `make test`, others each time in `make soak`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

EXAMPLES = 40
"""Of a property that does not say otherwise."""

SOAK_TIMES = 25
"""`make soak` tries so many times more."""

LOAD_IS_NO_FAILURE = [HealthCheck.too_slow]
"""With no deadline either: how long an example takes says nothing on a machine that others use, too."""


def load_profiles() -> None:
    """Register both profiles. `specification` holds unless `--hypothesis-profile soak` is given."""
    settings.register_profile(
        "specification",
        derandomize=True,
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=LOAD_IS_NO_FAILURE,
    )
    settings.register_profile(
        "soak",
        derandomize=False,
        max_examples=EXAMPLES * SOAK_TIMES,
        print_blob=True,
        deadline=None,
        suppress_health_check=LOAD_IS_NO_FAILURE,
    )
    settings.load_profile("specification")


def example_count(count: int) -> int:
    """How many examples a property is tried with that has `count` of them in `make test`."""
    return count * settings().max_examples // EXAMPLES
