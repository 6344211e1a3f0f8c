"""Usage limits and their ends are recognised in what providers say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.agents import limits, reset_times

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


_PASSED_ON = [
    ("Claude AI usage limit reached|1795435200", "2026-11-23T12:00:00.000000Z"),
    ("Claude usage limit reached. Your limit will reset at 3pm (America/New_York).", "2026-11-23T20:00:00.000000Z"),
    ("You've hit your session limit · resets 3pm (America/New_York)", "2026-11-23T20:00:00.000000Z"),
    ("You've hit your limit · resets 8pm (Europe/Berlin)", "2026-11-23T19:00:00.000000Z"),
    ("5-hour limit reached ∙ resets 12pm", "2026-11-23T12:00:00.000000Z"),
    ("Weekly limit reached ∙ resets Mon 9am", "2026-11-30T09:00:00.000000Z"),
    ("You're out of extra usage · resets Nov 25, 3am (UTC)", "2026-11-25T03:00:00.000000Z"),
    ("Your credit balance is too low to access the Anthropic API.", None),
    (
        "ERROR: You've hit your usage limit. Upgrade to Pro (https://x.example) or try again in 3 days 4 hours.",
        "2026-11-26T13:30:15.000000Z",
    ),
    (
        "You've hit your usage limit. To get more access now, ask your admin or try again at 3:05 PM.",
        "2026-11-23T15:05:00.000000Z",
    ),
    (
        "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 1, Used 1, Requested 3. ",
        None,
    ),
    ("You exceeded your current quota, please check your plan and billing details.", None),
    ("Error: 429 You exceeded your current quota, please check your plan and billing details.", None),
    ("[API Error: You exceeded your current quota. Please retry in 34.07s.]", "2026-11-23T09:30:49.070000Z"),
    (
        'Quota exceeded for metric: generativelanguage.googleapis.com/x, limit: 50 "retryDelay": "34s"',
        "2026-11-23T09:30:49.000000Z",
    ),
    (
        "You have exhausted your capacity on this model. Your quota will reset after 13h45m20s.",
        "2026-11-23T23:15:35.000000Z",
    ),
    ("Sorry, you've exhausted this model's rate limit. Please try again in 2 hours.", "2026-11-23T11:30:15.000000Z"),
    ("Sorry, you have exceeded your weekly rate limit. Please try again in 2 days", "2026-11-25T09:30:15.000000Z"),
    ("You have exceeded your premium request allowance. We recommend to enable additional ones.", None),
    ("Error: 429 Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 a day", None),
    ("Usage limit reached for 5 hour. Your limit will reset at 2026-11-23 12:00:00", "2026-11-23T12:00:00.000000Z"),
    ("API Error: 402 Insufficient Balance", None),
    ("Insufficient credits. Add more using https://x.example/credits", None),
]
"""Sentences that agents print of their provider, as their users report them."""


@pytest.mark.parametrize(("line", "resets"), _PASSED_ON)
def test_a_known_sentence_at_the_beginning_of_a_line_is_a_limit(line: str, resets: str | None) -> None:
    limit = limits.find_sentence(line, NOW, zone=UTC)
    assert limit is not None
    assert limit.usage is ("on tokens per min" not in line)
    assert limit.resets_at == resets


@pytest.mark.parametrize(
    "line",
    [
        "OSError: [Errno 122] Disk quota exceeded: '/home/x/build/a.o'",
        "cp: error writing 'x': Disk quota exceeded",
        "error: Disk quota exceeded",
        "FAILED tests/test_quota.py::test_usage_limit_reached - AssertionError",
        "myapp.errors.QuotaExceededError: quota exceeded for user 7",
        "billing.UsageLimitError: usage limit",
        "ERROR: HTTP error 429 while getting https://pypi.example/simple/x",
        "npm error 429 Too Many Requests - GET https://registry.example/x",
        "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating",
        "AssertionError: expected 'usage limit reached'",
        "Test usage limit reached ... ok",
        "API rate limit exceeded for 192.0.2.1. (But here's the good news: authenticated requests get more)",
        "RecursionError: maximum recursion limit reached",
        "error: maximum context length limit reached",
        "fixed the usage limit bug",
        "",
    ],
)
def test_what_tools_print_of_quotas_and_limits_is_no_limit(line: str) -> None:
    assert limits.find_sentence(line, NOW) is None


@pytest.mark.parametrize(
    ("when", "resets"),
    [
        ("resets tomorrow at 9", "2026-11-24T09:00:00.000000Z"),
        ("resets tomorrow at 9:15am", "2026-11-24T09:15:00.000000Z"),
        ("resets 3 p.m. tomorrow PT", "2026-11-24T23:00:00.000000Z"),
        ("resets today at 12:00", "2026-11-23T12:00:00.000000Z"),
        ("resets Monday 9am EST", "2026-11-23T14:00:00.000000Z"),
        ("resets Monday 9am", "2026-11-30T09:00:00.000000Z"),
        ("resets at 9:00 AM on Tuesday", "2026-11-24T09:00:00.000000Z"),
        ("resets 3pm CET", "2026-11-23T14:00:00.000000Z"),
        ("resets at 3pm PST", "2026-11-23T23:00:00.000000Z"),
        ("resets midnight Pacific time", "2026-11-24T08:00:00.000000Z"),
        ("resets at noon", "2026-11-23T12:00:00.000000Z"),
        ("resets 25 Nov 2026 11:00 CET", "2026-11-25T10:00:00.000000Z"),
        ("resets Jan 2 at 8am", None),  # further away than any plan is renewed
        ("until Mon, 23 Nov 2026 12:00:00 GMT", "2026-11-23T12:00:00.000000Z"),
        ("resets at 14:00 GMT+2", "2026-11-23T12:00:00.000000Z"),
        ("resets at 14:00 -05:00", "2026-11-23T19:00:00.000000Z"),
        ("resets on 2026-11-23 11:00 CET", "2026-11-23T10:00:00.000000Z"),
        ("resets in 3h 20m", "2026-11-23T12:50:15.000000Z"),
        ("Please try again in 6m0s", "2026-11-23T09:36:15.000000Z"),
        ("try again in 1m26.4s.", "2026-11-23T09:31:41.400000Z"),
        ("please wait 5 minutes", "2026-11-23T09:35:15.000000Z"),
        ("retry in an hour", "2026-11-23T10:30:15.000000Z"),
        ("resets 3pm CST", None),  # of America or of China
        ("resets 3pm IST", None),
        ("resets 3pm (Mars/Olympus)", None),
        ("resets on 2026-11-23 11:00 XYZ", None),
        ("resets soon", None),
        ("resets Monday", None),
        ("resets at 25:00", None),
        ("resets at 9", None),
    ],
)
def test_reset_is_read_from_words_and_an_unclear_one_is_none(when: str, resets: str | None) -> None:
    moment = reset_times.reset_time(f"usage limit reached, {when}", NOW, zone=UTC)
    assert (None if moment is None else limits.stamp(moment)) == resets


def test_a_stamp_without_a_zone_is_the_earlier_of_utc_and_local_that_lies_ahead() -> None:
    for hours, resets in ((-5, datetime(2026, 11, 23, 11, tzinfo=UTC)), (1, datetime(2026, 11, 23, 10, tzinfo=UTC))):
        zone = timezone(timedelta(hours=hours))
        assert reset_times.reset_time("usage limit, resets at 2026-11-23 11:00:00", NOW, zone=zone) == resets
    east = timezone(timedelta(hours=8))
    assert reset_times.reset_time("resets at 2026-11-23 11:00:00", NOW, zone=east) == datetime(
        2026, 11, 23, 11, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "text",
    [
        "EDQUOT: disk quota exceeded, write",
        "This model's maximum context length is 200000 tokens: your input exceeded the context limit",
        "prompt is too long: you have exceeded the token limit",
    ],
)
def test_a_providers_error_about_one_request_or_a_disk_is_no_limit(text: str) -> None:
    assert limits.find(text, NOW) is None


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
