"""Usage limits and their ends are recognised in what providers say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.agents import limits

NOW = datetime(2026, 11, 23, 9, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "resets"),
    [
        ("Claude AI usage limit reached|1795435200", "2026-11-23T12:00:00.000000Z"),
        ("usage limit reached, resets at 12:00 UTC", "2026-11-23T12:00:00.000000Z"),
        ("You've hit your weekly limit · resets 3pm (Europe/Berlin)", "2026-11-23T14:00:00.000000Z"),
        ("5-hour limit reached ∙ resets 9:15am (UTC)", "2026-11-24T09:15:00.000000Z"),
        ("You have reached your usage limit, try again in 3h 12m", "2026-11-23T12:42:15.000000Z"),
        ("Quota exceeded. Try again in 2 days, 3 hours and 5 minutes.", "2026-11-25T12:35:15.000000Z"),
        ("You've hit your usage limit. Try again at Nov 25th, 2026 3:00 PM UTC.", "2026-11-25T15:00:00.000000Z"),
        ("quota exceeded; it will reset in 45 seconds", "2026-11-23T09:31:00.000000Z"),
        ('{"error":{"type":"usage_limit_reached","resets_at":1795435200}}', "2026-11-23T12:00:00.000000Z"),
        ('{"error":{"type":"usage_limit_reached","resets_at":1795435200123}}', "2026-11-23T12:00:00.123000Z"),
        ('{"type":"usage_limit_reached","resets_in_seconds":60}', "2026-11-23T09:31:15.000000Z"),
        ('quota: {"retryDelay": "37s"}', "2026-11-23T09:30:52.000000Z"),
        ("quota used up until 2026-11-23T11:00:00Z", "2026-11-23T11:00:00.000000Z"),
        ("quota used up, resets on 2026-11-23 11:00 +0100", "2026-11-23T10:00:00.000000Z"),
        ("You exceeded your current quota, please check your plan and billing details.", None),
        ("Your credit balance is too low to access the API.", None),
        ("usage limit reached; see rule 12 at https://example.org/9:77", None),
    ],
)
def test_usage_limit_is_recognised_with_its_reset(text: str, resets: str | None) -> None:
    limit = limits.find(text, NOW)
    assert limit is not None
    assert limit.usage
    assert limit.resets_at == resets


def test_time_without_zone_is_of_the_given_zone() -> None:
    zone = timezone(timedelta(hours=2))
    limit = limits.find("usage limit reached, resets at 12:00", NOW, zone=zone)
    assert limit is not None
    assert limit.resets_at == "2026-11-23T10:00:00.000000Z"


@pytest.mark.parametrize(
    ("headers", "resets"),
    [
        ({"retry-after": "120"}, "2026-11-23T09:32:15.000000Z"),
        ({"Retry-After": "Mon, 23 Nov 2026 12:00:00 GMT"}, "2026-11-23T12:00:00.000000Z"),
        ({"retry-after-ms": "1500", "retry-after": "99"}, "2026-11-23T09:30:16.500000Z"),
        (
            {"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-11-23T12:00:00Z"},
            "2026-11-23T12:00:00.000000Z",
        ),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, "2026-11-23T09:36:15.000000Z"),
        ({"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "6m0s"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 23 Nov 2020 12:00:00 GMT"}, None),
    ],
)
def test_reset_is_read_from_headers(headers: dict[str, str], resets: str | None) -> None:
    limit = limits.find("Too Many Requests", NOW, headers, status=429)
    assert limit is not None
    assert limit.resets_at == resets


def test_short_wait_is_a_rate_limit_and_long_one_a_usage_limit() -> None:
    short = limits.find("rate limit exceeded", NOW, {"retry-after": "20"}, status=429)
    long = limits.find("rate limit exceeded", NOW, {"retry-after": "3600"}, status=429)
    assert short is not None
    assert long is not None
    assert (short.usage, long.usage) == (False, True)


@pytest.mark.parametrize(
    "text", ["Internal server error", "invalid api key", "the file resets at 12:00", "connection refused", ""]
)
def test_other_errors_are_no_limits(text: str) -> None:
    assert limits.find(text, NOW) is None


@given(st.text(max_size=200), st.sampled_from(["usage limit reached ", "quota, try again in ", "limit reached|"]))
def test_any_text_is_read_without_error_and_resets_lie_ahead(text: str, prefix: str) -> None:
    limit = limits.find(prefix + text, NOW, {"retry-after": text})
    assert limit is not None
    assert limit.resets is None or limit.resets > NOW
