"""Which hosts are silent as far as this one has seen it."""

from __future__ import annotations

from kugetsu.log.shared.postgres import Beat
from kugetsu.runtime.silent_hosts import WATCHED_SECONDS, Silence

TTL = 1800.0


def beat(host: str, at: str, term: int = 1) -> Beat:
    """One that the database takes for silent for too long."""
    return Beat(host, term, host, at, 7200.0, True, False)


def lasting(watch: Silence, now: float, *beats: Beat, ttl: float = TTL) -> list[str]:
    return [one.host for one in watch.lasting(beats, now, ttl)]


def test_who_beats_again_after_a_step_of_the_databases_clock_is_not_judged() -> None:
    watch = Silence()
    for turn in range(10):
        dead, lives = beat("dead", "10:00"), beat("lives", f"10:0{turn}")
        found = lasting(watch, turn * 20.0, dead, lives)
        assert found == (["dead"] if turn * 20.0 >= WATCHED_SECONDS else [])


def test_a_new_term_is_a_new_host() -> None:
    watch = Silence()
    lasting(watch, 0.0, beat("a", "10:00"))
    lasting(watch, 50.0, beat("a", "10:00"))
    assert lasting(watch, 70.0, beat("a", "10:00", term=2)) == []


def test_what_was_seen_before_this_host_was_away_itself_counts_for_nothing() -> None:
    watch = Silence()
    assert lasting(watch, 0.0, beat("a", "10:00")) == []
    assert lasting(watch, 3600.0, beat("a", "10:00")) == [], "both may have been cut off"
    assert lasting(watch, 3640.0, beat("a", "10:00")) == []
    assert lasting(watch, 3660.0, beat("a", "10:00")) == ["a"]


def test_of_a_short_time_to_live_a_half_is_watched() -> None:
    watch = Silence()
    assert lasting(watch, 0.0, beat("a", "10:00"), ttl=8.0) == []
    assert lasting(watch, 2.0, beat("a", "10:00"), ttl=8.0) == []
    assert lasting(watch, 4.0, beat("a", "10:00"), ttl=8.0) == ["a"]
