"""What a command imports: start-up is most of its time."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from kugetsu import cli as kugetsu_cli
from kugetsu.cli.catalogue import COMMANDS

_LOADED = """
import sys, os
before = set(sys.modules)
from kugetsu.cli.main import main
sys.argv[0] = "kugetsu"
status = main()
sys.stdout.flush()
loaded = sorted(set(sys.modules) - before)
import json
print(json.dumps([status, loaded]), file=sys.stderr)
"""


def modules_of(kugetsu, *words):
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *words],
        capture_output=True,
        env=kugetsu.environment,
        cwd=kugetsu.work,
        check=True,
    )
    status, modules = json.loads(done.stderr.splitlines()[-1])
    assert status == 0
    return set(modules)


@pytest.fixture
def long(kugetsu, story):
    """A log that is long enough for a checkpoint, with an attempt that is not ended."""
    from kugetsu.domain.decide import queue

    story.enqueue()
    number = 0
    while not (kugetsu.root / "log" / "checkpoint").exists():
        if number % 2:
            story.do(lambda state: queue.retry(state, "q1"))
        else:
            story.do(lambda state: queue.cancel(state, "q1", "cancel"))
        number += 1
        assert number < 20_000, "no checkpoint was ever written"
    story.run(story.enqueue("more", issue="github.com/a/b#2"))
    story.log.state()
    return kugetsu


HEAVY = {"typing", "pathlib", "subprocess", "loguru", "portalocker", "transitions", "argparse", "shutil", "tempfile"}
HEAVY |= {"hashlib", "socket", "logging", "hypothesis", "kugetsu.log.files.verify"}
ORJSON = {"orjson", "json", "re", "enum", "inspect", "dataclasses", "datetime", "uuid"}
"""Its import takes longer than all the rest of `status`."""
HEAVY |= ORJSON

OF_SOME_LOGS = {
    *("kugetsu.domain.fold.hosts", "kugetsu.domain.fold.intake", "kugetsu.domain.fold.loops"),
    *("kugetsu.domain.fold.notifications", "kugetsu.domain.hosts", "kugetsu.domain.placement"),
    *("kugetsu.domain.divergence", "kugetsu.domain.unread", "kugetsu.domain.verification"),
    *("kugetsu.domain.worktree_setup", "kugetsu.model.result_words"),
}
"""What only logs need that hosts share, or that have a loop, verified work or tasks parked for more than a limit."""


#: Modules of kugetsu's own; each costs some 0.02 `python -c pass`. Whoever raises one has measured `tools/bench`.
MOST_FOR_STATUS, MOST_FOR_ENQUEUE = 84, 79


@pytest.mark.parametrize("words", [("status",), ("queue", "list"), ("list",), ("queue", "stats")])
def test_looking_imports_nothing_heavy(long, words):
    assert modules_of(long, *words) & HEAVY == set()


@pytest.mark.parametrize(
    ("most", "words"), [(MOST_FOR_STATUS, ("status",)), (MOST_FOR_ENQUEUE, ("queue", "enqueue", "a/b#1", "x"))]
)
def test_short_commands_import_few_of_our_own_modules(long, most, words):
    loaded = {name for name in modules_of(long, *words) if name.startswith("kugetsu")}
    assert loaded & OF_SOME_LOGS == set()
    assert len(loaded) <= most, f"{len(loaded)} modules: start-up is over its budget soon\n{sorted(loaded)}"


def test_why_and_history_import_nothing_heavy(long):
    assert modules_of(long, "why", "q1") & HEAVY == set()
    assert modules_of(long, "history", "--all") & HEAVY == set()


def test_enqueue_imports_the_lock_and_nothing_else_that_is_heavy(long):
    loaded = modules_of(long, "queue", "enqueue", "a/b#1", "x")
    assert not loaded & {"transitions", "loguru", "subprocess", "argparse", "orjson", "json"}


def test_the_installed_command_imports_nothing_before_ours():
    """What some versions of pip make of an entry point imports `re` first."""
    script = os.path.join(os.path.dirname(kugetsu_cli.__file__), "script", "kugetsu")
    told = subprocess.run([sys.executable, "-X", "importtime", script, "--version"], capture_output=True, check=True)
    assert told.stdout.startswith(b"kugetsu ") and b" re\n" not in told.stderr, told.stderr


def test_a_command_imports_its_own_module_only(long):
    loaded = {name for name in modules_of(long, "status") if name.startswith("kugetsu.cli.")}
    assert loaded == {
        "kugetsu.cli.main",
        "kugetsu.cli.catalogue",
        "kugetsu.cli.declarations",
        "kugetsu.cli.parser",
        "kugetsu.cli.call",
        "kugetsu.cli.status",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_starts_in_an_interpreter_of_its_own(kugetsu, name):
    """Most tests fork an interpreter that has imported everything: here each command imports what it needs."""
    words = name.split()
    assert f"usage: kugetsu {name}" in kugetsu(*words, "--help", real=True).out
    refused = kugetsu(*words, "--nonsense", real=True)
    assert refused.code == 3 and "Traceback" not in refused.err, refused


def test_version_and_help_open_nothing(kugetsu):
    assert "kugetsu.log" not in modules_of(kugetsu, "--version")
    assert not kugetsu.root.exists()


def test_a_log_of_one_host_needs_no_database_driver_and_never_looks_for_one(ready, tmp_path):
    """The daemon, its children, runners and every command are started where the driver cannot be imported."""
    (tmp_path / "no").mkdir()
    looked = tmp_path / "looked"
    for driver in ("psycopg", "psycopg_binary", "psycopg_c"):
        text = f"open({str(looked)!r}, 'a').close()\nraise ImportError('not installed')\n"
        (tmp_path / "no" / f"{driver}.py").write_text(text)
    ready.environment["PYTHONPATH"] = f"{tmp_path / 'no'}:{ready.environment['PYTHONPATH']}"
    ready.environment["NOTIFY_SINKS"] = "command"
    ready.environment["NOTIFY_COMMAND"] = "true"
    ref = "example.com/o/r#1"
    assert ready("start", "--wait", ref, "x", real=True).code == 0
    assert ready("queue-daemon", "start", real=True).code == 0
    assert ready("queue", "enqueue", ref, "more", real=True).code == 0
    assert ready("wait", "q2", real=True).code == 0
    for words in ("status", "why q2", "history q2", "logs q2", f"context {ref}", "audit", "report"):
        assert ready(*words.split(), real=True).code in (0, 6), words
    assert ready("log", "verify", real=True).code in (0, 6)
    assert "Traceback" not in ready("doctor", real=True).err
    assert ready("queue-daemon", "stop", real=True).code == 0
    assert not looked.exists()
