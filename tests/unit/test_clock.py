"""Times are texts of one width that sort as they lie in time."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.model import clock
from kugetsu.model.errors import BadInput

MICROS = st.integers(min_value=-62_135_596_800_000_000, max_value=253_402_300_799_999_999)


@given(MICROS)
def test_a_time_reads_back_as_it_was_written(micros: int) -> None:
    text = clock.from_micros(micros)
    assert len(text) == clock.WIDTH
    assert clock.parse(text) == micros


@given(MICROS, st.integers(min_value=0, max_value=59_999_999))
def test_times_of_one_minute_read_back_one_after_the_other(micros: int, later: int) -> None:
    minute = micros - micros % 60_000_000
    assert clock.parse(clock.from_micros(minute)) == minute
    assert clock.parse(clock.from_micros(minute + later)) == minute + later


@pytest.mark.parametrize("end", ["60.000000Z", "0x.000000Z", "00.00000xZ", "00.000000z", "00:000000Z"])
def test_what_is_no_time_is_refused_also_in_a_minute_read_before(end: str) -> None:
    clock.parse("2026-11-23T10:00:00.000000Z")
    text = f"2026-11-23T10:00:{end}"
    if text.endswith("z"):
        assert clock.parse(text) == clock.parse("2026-11-23T10:00:00.000000Z")
    else:
        with pytest.raises(BadInput):
            clock.parse(text)


@given(MICROS)
def test_a_time_is_the_one_that_datetime_writes(micros: int) -> None:
    epoch = datetime.datetime(1970, 1, 1)
    expected = (epoch + datetime.timedelta(microseconds=micros)).isoformat(timespec="microseconds") + "Z"
    assert clock.from_micros(micros) == expected


@given(MICROS, MICROS)
def test_times_compare_as_texts(one: int, other: int) -> None:
    assert (clock.from_micros(one) < clock.from_micros(other)) == (one < other)


@given(st.datetimes(min_value=datetime.datetime(2, 1, 1), timezones=st.timezones()))
def test_any_iso_time_with_a_zone_is_understood(moment: datetime.datetime) -> None:
    offset = moment.utcoffset()
    if offset is None or offset.total_seconds() % 60:
        return  # zones before standard time, which ISO texts of providers never carry
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert clock.parse(moment.isoformat()) == (moment - epoch) // datetime.timedelta(microseconds=1)


def test_now_is_between_two_readings_of_the_system() -> None:
    before = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    now = clock.now()
    after = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert before <= now <= after


def test_seconds_are_added_across_a_leap_day() -> None:
    assert clock.add_seconds("2028-02-28T23:59:59.500000Z", 1.25) == "2028-02-29T00:00:00.750000Z"


def test_adding_beyond_the_last_year_stays_in_it() -> None:
    assert clock.add_seconds("9999-12-31T00:00:00.000000Z", 10**9) == "9999-12-31T23:59:59.000000Z"


def test_seconds_between_is_negative_backwards() -> None:
    assert clock.seconds_between("2026-01-01T00:00:01.500000Z", "2026-01-01T00:00:00.000000Z") == -1.5


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00.Z",
     "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00Zx", "２０２６-01-01T00:00:00Z", "2026-01-01T-1:00:00Z"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        clock.parse(text)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e15])
def test_a_number_that_is_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(BadInput):
        clock.from_epoch(seconds)
