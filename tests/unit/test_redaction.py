"""Secrets leave a text; what is no secret stays."""

from __future__ import annotations

import base64
import html
import json
import shlex
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kugetsu.agents import last_activity
from kugetsu.redaction import funnel
from kugetsu.redaction.funnel import (
    MARK,
    SHORTEST,
    Lines,
    clean,
    redact,
    redact_head,
    secrets_among,
    secrets_of,
    suspicious,
)
from kugetsu.runtime import stderr_tail

SECRET = "s3cr3tV4lue9"
#: A token as Gitea makes them: nothing in its shape tells it from a commit.
TOKEN = "7f2a9c41d0b3e86f5a7c1d92e4b608f3a1c5d7e9"


@pytest.fixture(autouse=True)
def knowing_nothing() -> Iterator[None]:
    """Another test's workspace has told the funnel of its secrets."""
    funnel.know(None)
    yield
    funnel.know(None)


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
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{SECRET}\n-----END PGP PRIVATE KEY BLOCK-----",
        f"https://me:p@{SECRET}@host/a",
        f"Authorization: Hawk x {SECRET}",
        f"Authorization: Digest username=me, response={SECRET}",
        f"Cookie: a=b; session={SECRET}",
        f"set-cookie: id={SECRET}; HttpOnly",
        f"X-Gitea-Token: {SECRET}",
        f'{{"password": "no digits here {SECRET}"}}',
        f'{{\\"token\\": \\"{SECRET}\\"}}',
        f"GITEA_TOKEN = {SECRET}",
        f'token = "{SECRET}"',
        f"db_pass={SECRET}",
        f"npm --registry-token {SECRET} publish",
        f"curl -u me:{SECRET} https://host",
        f"machine host login me password {SECRET}",
        f"https://host/x?key={SECRET}",
        f"password='it is {SECRET}'",
        f"password='it is {SECRET}",
        f"Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}",
        f"sk_live_{SECRET * 2}",
        f"ya29.{SECRET * 3}",
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
        "max_tokens=4096 and n_tokens=12",
        'curl -H "Authorization: token $GITEA_TOKEN" https://host/api',
        """printf 'header = "Authorization: token %s"\\n' "$GITEA_TOKEN" | curl -K -""",
        "Authorization: Bearer %s",
        "export GITEA_TOKEN=$GITEA_TOKEN; TOKEN=${OTHER_TOKEN}",
        "Authorization: Bearer <your token>, Authorization: token …",
        "docker run -u 1000:1000 image",
        "a basic introduction, a bearer of news",
        "if token == expected: return",
        "password: ask the user",
        "git push -u origin fix/issue-14",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_known_values_are_taken_out_the_longest_first() -> None:
    assert redact("x abcdefgh abcdef", ["abcdef", "abcdefgh", "x"]) == f"x {MARK} {MARK}"


def test_values_are_found_by_their_names() -> None:
    env = {"GITEA_TOKEN": "one", "OPENAI_API_KEY": "two", "PATH": "/bin", "HOME": "x", "SECRET_FILE": "/etc/x"}
    assert secrets_of(env) == ["one", "two"]


def test_a_cut_value_is_found_among_hundreds_of_signs_of_a_cut() -> None:
    noise = "compiling it... done\n" * 200
    for cut in (f"{TOKEN[:12]}...", f"{TOKEN[:12]} …", f"…{TOKEN[-12:]}"):
        shown = redact(f"{noise}said {cut}\n{noise}", [TOKEN])
        assert TOKEN[:12] not in shown and TOKEN[-12:] not in shown and MARK in shown
        assert shown.count("compiling it... done\n") == 400


QUOTED = ["pa\"ss\\wo'rd", "it's `so` $9", "two\nlines\tand a tab", "é😀 pass", "<a&b>'c'", 'say "9" & go']


@pytest.mark.parametrize("value", QUOTED)
def test_a_known_value_is_taken_out_as_programs_escape_it(value: str) -> None:
    told = json.dumps(value, ensure_ascii=False)
    written = [
        repr(value)[1:-1],
        ascii(value)[1:-1],
        repr(value.encode())[2:-1],
        told[1:-1],
        json.dumps(value)[1:-1],
        json.dumps(told, ensure_ascii=False)[3:-3],
        html.escape(value),
        shlex.quote(value),
        subprocess.run(["bash", "-c", 'printf %q "$1"', "x", value], capture_output=True, text=True, check=True).stdout,
    ]
    for text in written:
        assert redact(f"x {text} y", [value]).strip("'$ xy") == MARK, text


GLUED = [
    "ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "github_pat_11ABCDEFG0abcdefghijkl_mnop",
    "glpat-a1B2c3D4e5F6g7H8i9J0",
    "sk-ant-api03-a1B2c3D4e5F6g7H8",
    "sk_live_a1B2c3D4e5F6g7H8i9J0k1L2",
    "xoxb-123456789012-a1B2c3D4e5F6",
    "AKIAIOSFODNN7EXAMPLE",
    "npm_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP",
]


@pytest.mark.parametrize("token", GLUED)
def test_a_token_glued_to_letters_before_it_is_taken_out(token: str) -> None:
    for before in ("x", "token", "TOKEN9", "Bearer"):
        assert token not in redact(f"said {before}{token} here") and suspicious(f"{before}{token}")


def test_words_that_have_the_beginning_of_a_token_in_them_stay() -> None:
    text = "task-implement-the-whole-thing2 risk_test_of_everything laughs_aloudforever shelf_life single-page12345678"
    assert redact(text) == text


def test_what_a_window_leaves_of_a_known_value_is_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "output"
    funnel.know(lambda fresh: [TOKEN])
    for half in (TOKEN[8:], TOKEN[-SHORTEST:]):
        # The window begins in the middle of a line, and of the value in it.
        file.write_text(TOKEN[: -len(half)] + half + " x" * ((last_activity.TAIL_BYTES - len(half)) // 2))
        shown = last_activity.of_text(str(file)).last
        assert shown is not None and half not in shown and MARK in shown
        file.write_text(TOKEN + " x" * ((4096 - len(half)) // 2))
        assert half not in stderr_tail.of(str(file)) and MARK in stderr_tail.of(str(file))


def test_what_is_written_of_a_known_value_so_far_is_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "output"
    funnel.know(lambda fresh: [TOKEN])
    file.write_text(f"first\nthe token is {TOKEN[:15]}")
    assert last_activity.of_text(str(file)).last == f"the token is {MARK}"
    file.write_text("first\nworking")
    assert last_activity.of_text(str(file)).last == "working"


def test_the_head_of_a_long_text_ends_in_no_half_of_a_known_value() -> None:
    funnel.know(lambda fresh: [TOKEN])
    for size in range(90, 140):
        assert TOKEN[:8] not in redact_head("x" * 90 + TOKEN + "y" * 90, size)


def test_a_text_is_cut_to_its_limit_and_says_so() -> None:
    assert redact("a" * 30, limit=10) == "a" * 10 + "… (20 characters more)"


@given(st.text(alphabet="aA-_:=/@.'\" \ntokensecret1", max_size=300))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)


# --- values that are known --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        TOKEN,
        TOKEN.upper() and f"prefix{TOKEN}suffix",
        urllib.parse.quote("p/w d&x+y=9", safe=""),
        urllib.parse.quote("p/w d&x+y=9", safe="").lower(),
        urllib.parse.quote_plus("p/w d&x+y=9"),
        'json says "p/w d&x+y=9"',
        "p/w d&amp;x+y=9",
        base64.b64encode(TOKEN.encode()).decode(),
        base64.b64encode(f"me:{TOKEN}".encode()).decode(),
        base64.b64encode(f"x{TOKEN}yz".encode()).decode(),
        TOKEN.encode().hex(),
        f"{TOKEN[:20]}\n{TOKEN[20:]}",
        f"{TOKEN[:10]}\r\n  {TOKEN[10:30]}\n  {TOKEN[30:]}",
        f"a title that was cut within {TOKEN[:12]}…",
        f"a title that was cut within {TOKEN[:12]}...",
        f"\n… 40 characters left out …\n{TOKEN[-12:]} and on",
    ],
)
def test_a_known_value_is_found_however_it_is_written(said: str) -> None:
    shown = redact(f"before {said} after" if "…" not in said and "..." not in said else said, [TOKEN, "p/w d&x+y=9"])
    for part in (
        TOKEN,
        TOKEN[:12],
        TOKEN[-12:],
        "p/w",
        "p%2f",
        "p%2F",
        base64.b64encode(TOKEN.encode()).decode()[4:30],
    ):
        assert part not in shown
    assert MARK in shown


def test_what_is_known_is_asked_for_at_each_use() -> None:
    values: list[str] = []
    funnel.know(lambda _: values)
    assert redact(f"it is {TOKEN}") == f"it is {TOKEN}" and not suspicious(TOKEN)
    values.append(TOKEN)
    assert redact(f"it is {TOKEN}") == f"it is {MARK}" and suspicious(TOKEN)


def test_of_an_env_file_what_looks_made_up_is_secret_whatever_its_name() -> None:
    values = {
        "GITEA_TOKEN": "abc",
        "DATABASE_URL": "postgres://me:hunter22@host/db",
        "SOMETHING": "9f8e7d6c5b4a3210",
        "NODE_ENV": "production",
        "GITEA_URL": "https://git.example.com",
        "KUGETSU_MODEL": "anthropic-claude-4-5",
        "SSH_KEY": "/home/me/.ssh/id_ed25519",
        "MAX_TOKENS": "1000000",
        "PUBLIC_KEY": "ordinary",
    }
    assert secrets_among(values) == ["abc", "hunter22", "9f8e7d6c5b4a3210"]


def test_json_is_cleaned_in_its_texts_and_keys_and_stays_json() -> None:
    value = {"a": [f"x {TOKEN}", 1, None, True], TOKEN: {"password": "hunter2"}, "tokens": {"total": 4120012}}
    assert clean(value, [TOKEN]) == {
        "a": [f"x {MARK}", 1, None, True],
        MARK: {"password": MARK},
        "tokens": {"total": 4120012},
    }


def test_a_key_over_several_lines_is_taken_out_line_by_line() -> None:
    lines = Lines()
    shown = [
        lines.redact(line)
        for line in ("a", "-----BEGIN PRIVATE KEY-----", "MIIE", "x", "-----END PRIVATE KEY-----", "b")
    ]
    assert shown == ["a", MARK, MARK, MARK, MARK, "b"]


def test_the_end_of_a_key_whose_beginning_was_cut_off_goes_too() -> None:
    text = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\nand on"
    assert redact(text) == f"{MARK}\nand on"


def test_a_line_of_json_stays_one() -> None:
    import json

    raw = json.dumps({"type": "text", "part": {"text": f'Authorization: Bearer {SECRET} "x"'}}).encode()
    shown = json.loads(Lines().redact_bytes(raw))
    assert shown["part"]["text"] == f'Authorization: Bearer {MARK} "x"'
    assert Lines().redact_bytes(b"\xff plain") == b"\xff plain"


SECRETS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]), min_size=6, max_size=40
)


@given(st.text(max_size=200), SECRETS, st.text(max_size=200))
def test_a_known_value_never_survives_whatever_stands_around_it(before: str, secret: str, after: str) -> None:
    assume(secret not in MARK)
    assert secret not in redact(before + secret + after, [secret])


@given(st.text(max_size=40), SECRETS, st.text(max_size=40), st.data())
def test_nor_one_that_is_encoded(before: str, secret: str, after: str, data: st.DataObject) -> None:
    assume(secret not in MARK)
    how = data.draw(st.sampled_from(["url", "base64", "hex"]))
    raw = (before + secret + after).encode()
    if how == "url":
        text, core = urllib.parse.quote(before + secret + after, safe=""), urllib.parse.quote(secret, safe="")
    elif how == "hex":
        text, core = raw.hex(), secret.encode().hex()
    else:
        assume(len(secret.encode()) >= 10)
        text, core = base64.b64encode(raw).decode(), ""
    shown = redact(text, [secret])
    assert MARK in shown
    assert not core or core not in shown


#: Pieces that the patterns are made of: what they match is made of these.
PIECES = st.sampled_from(
    (
        *("token", "TOKEN", "s", "password", "secret", "api_key", "=", ":", " ", '"', "'", "\\", "\n", "-", "--"),
        *("x1y2z3w4", "abc", "https://", "@", "/", "Authorization", "Bearer ", "Basic ", "bWU6cHc=", "ghp_", "sk-"),
        *("eyJ", ".", "-u ", "login ", "cookie", "…", "$NAME", "[redacted]", "?key=", "&"),
        *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"),
    )
)


@given(st.lists(PIECES, max_size=14).map("".join))
def test_a_text_that_does_not_look_suspicious_is_one_that_no_pattern_changes(text: str) -> None:
    from kugetsu.redaction import patterns

    assert suspicious(text) or patterns.take_out(text) == text


@given(st.lists(PIECES, max_size=14).map("".join))
def test_redacting_what_patterns_match_twice_changes_nothing_more(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


HOSTILE = [
    "a",
    "-a",
    "token",
    "token=",
    "token='",
    '"token":"',
    "https://a",
    "a.",
    "-----BEGIN ",
    "eyJ_",
    "sk-a.",
    "--token ",
]
HOSTILE += [
    "authorization:",
    "login a password",
    "\\",
    "\n",
    "…",
    "x-a-token",
    "-u a",
    "A=",
    "-----END PRIVATE KEY-----\n",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_time_grows_with_the_text_and_no_faster(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        best = 1e9
        for _ in range(3):
            begin = time.process_time()
            redact(text + str(_), [TOKEN, "\n1\n2\n3"])
            best = min(best, time.process_time() - begin)
        return best

    # Eight times the text: linear is 8, quadratic 64. Below a millisecond the clock says nothing.
    assert seconds(200_000) <= max(seconds(25_000), 0.001) * 24
