"""How many examples hypothesis tries: `ci` (the default, for whoever waits) and `thorough` (`nox -s thorough`).

Numbers in tests are relative to the profile: `@settings(max_examples=examples(150))` means 150 where a test that says
nothing tries hypothesis' own 100.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_USUAL = 100
"""What hypothesis tries without a word."""


def register() -> None:
    """Make the profiles known and load the default; `--hypothesis-profile=thorough` loads the other one."""
    # On a busy machine a single example takes longer than the 200 ms that hypothesis grants it.
    patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("ci", parent=patient, max_examples=_USUAL // 2)
    settings.register_profile("thorough", parent=patient, max_examples=_USUAL * 2)
    settings.load_profile("ci")


def examples(usual: int) -> int:
    """The profile's share of so many examples, at least five."""
    return max(5, usual * settings.default.max_examples // _USUAL)
