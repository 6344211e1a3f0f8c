"""Secrets leave a text; what is no secret stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.redaction import MARK, redact, secrets_of

SECRET = "s3cr3tV4lue9"


@pytest.mark.parametrize(
    "text",
    [
        f"https://me:{SECRET}@host.org/a/b.git",
        f"https://{SECRET}@host.org/a/b.git",
        f"postgres://me:{SECRET}@host/db",
        f"Authorization: Bearer {SECRET}",
        f"authorization: token {SECRET}",
        f'{{"Authorization": "Basic {SECRET}"}}',
        f"curl -H 'PRIVATE-TOKEN: {SECRET}'",
        f"GITEA_TOKEN={SECRET}",
        f"export DB_PASSWORD='{SECRET}'",
        f'client_secret="{SECRET}"',
        f'{{"apiKey": "{SECRET}"}}',
        f"my-api-key: {SECRET}",
        f"GET /x?access_token={SECRET}&page=2",
        f"ghp_{SECRET * 3}",
        f"github_pat_{SECRET * 3}",
        f"sk-proj-{SECRET * 3}",
        f"xoxb-{SECRET}",
        f"eyJhbGciOiJ.{SECRET}.{SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    ],
)
def test_a_secret_is_taken_out(text: str) -> None:
    clean = redact(f"before {text} after")
    assert SECRET not in clean
    assert MARK in clean
    assert clean.startswith("before ")
    assert redact(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "412 tokens in 3 requests, input_tokens: 412",
        '{"tokens": 41200123}',
        "the password: the user types it",
        "fix the tokenizer in src/token.py",
        "git@github.com:a/b.git and ssh://git@host/a/b",
        "commit 48f210e9d5c2b1a09f8e7d6c5b4a39281706f5e4",
        "write to me@example.org about task-sk-1",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_known_values_are_taken_out_the_longest_first() -> None:
    assert redact("x abcdefgh abcdef", ["abcdef", "abcdefgh", "x"]) == f"x {MARK} {MARK}"


def test_values_are_found_by_their_names() -> None:
    env = {"GITEA_TOKEN": "one", "OPENAI_API_KEY": "two", "PATH": "/bin", "HOME": "x", "SECRET_FILE": "/etc/x"}
    assert secrets_of(env) == ["one", "two"]


def test_a_text_is_cut_to_its_limit_and_says_so() -> None:
    assert redact("a" * 30, limit=10) == "a" * 10 + "… (20 characters more)"


@given(st.text(alphabet="aA-_:=/@.'\" \ntokensecret1", max_size=300))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)
