"""A command forked from the warm interpreter is like one started anew: in all that a test can see of it."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

COMMANDS = [
    (("status",), b"", {}),
    (("why", "q1", "--json"), b"", {}),
    (("history", "--all"), b"", {"COLUMNS": "40"}),
    (("queue", "enqueue", "a/b#1", "a message with \udce9 in it"), b"", {}),
    (("queue", "enqueue", "a/b#2", "-"), "from standard input: é\n".encode() * 20_000, {}),
    (("queue", "list", "--nonsense"), b"", {}),
    (("why", "q99", "--debug"), b"", {}),
    (("config", "list", "--json"), b"", {"MAX_ATTEMPTS": "7"}),
    (("config", "set", "MAX_ATTEMPTS", "none"), b"", {}),
    (("start", "--help"), b"", {}),
    (("log", "export"), b"", {}),
]


@pytest.mark.parametrize(("words", "given", "variables"), COMMANDS)
def test_output_and_status_are_those_of_a_fresh_interpreter(kugetsu, parked, words, given, variables):
    moment = "11:00:00"
    parked.close()
    saved = kugetsu.folder / "saved"
    subprocess.run(["cp", "-a", str(kugetsu.root), str(saved)], check=True)
    forked = kugetsu(*words, input=given, at=moment, **variables)
    subprocess.run(["rm", "-rf", str(kugetsu.root)], check=True)
    saved.rename(kugetsu.root)
    real = kugetsu(*words, input=given, at=moment, real=True, **variables)
    assert forked.code == real.code
    assert forked.out == real.out
    assert forked.err == real.err


def test_nothing_of_one_call_is_left_for_the_next(kugetsu, story):
    assert kugetsu("status", "--json", at="2030-01-01T00:00:00.000000Z").code == 0
    story.enqueue()
    with_setting = kugetsu("config", "get", "MAX_ATTEMPTS", MAX_ATTEMPTS="9").out
    assert "9" in with_setting and kugetsu("config", "get", "MAX_ATTEMPTS").out != with_setting
    assert not os.environ.get("KUGETSU_DIR")


def test_an_interpreter_that_would_start_otherwise_is_not_forked(kugetsu):
    assert kugetsu.server.fits(kugetsu.environment)
    for name in ("PYTHONPATH", "TZ", "LC_ALL", "PYTHONUNBUFFERED"):
        assert not kugetsu.server.fits({**kugetsu.environment, name: "other"})


def test_a_command_that_hangs_is_ended(kugetsu, story):
    with pytest.raises(subprocess.TimeoutExpired):
        kugetsu.server.run(
            ["history", "--all", "-f"], input=b"", cwd=kugetsu.work, env=kugetsu.environment, timeout=0.5
        )
    assert kugetsu("status").code == 0


def test_threads_share_the_server(kugetsu, story):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: kugetsu("queue", "enqueue", f"a/b#{n}", "x", "--json"), range(1, 9)))
    assert sorted(result.json["task"] for result in results) == [f"q{n}" for n in range(1, 9)]
