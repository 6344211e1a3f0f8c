"""Errors: one line and its remedy, the right exit code, no traceback unless asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kugetsu.cli import failure, main


def test_an_error_is_two_lines_on_stderr_and_nothing_on_stdout(kugetsu, story):
    shown = kugetsu("why", "q9", real=True)
    assert shown.out == ""
    assert [line.partition(":")[0] for line in shown.err.splitlines()] == ["kugetsu", "hint"]


def test_with_json_an_error_is_an_object_on_stdout(kugetsu, story):
    shown = kugetsu("why", "q9", "--json", real=True)
    assert shown.code == 4 and shown.err == ""
    assert shown.json["error"]["code"] == "not_found" and shown.json["error"]["exit_code"] == 4
    assert shown.json["error"]["hint"]
    bad = kugetsu("queue", "list", "--json", "--what")
    assert bad.code == 3 and bad.json["error"]["code"] == "bad_input"


def test_json_inside_a_message_is_no_option(kugetsu, story):
    shown = kugetsu("queue", "enqueue", "nonsense", "--", "--json")
    assert shown.code == 3 and shown.err.startswith("kugetsu: error: ")


def test_debug_adds_the_traceback(kugetsu, story):
    assert "Traceback" not in kugetsu("why", "q9").err
    shown = kugetsu("why", "q9", "--debug", real=True)
    assert shown.code == 4 and "Traceback" in shown.err and "kugetsu: error: " in shown.err
    assert "Traceback" in kugetsu("--debug", "why", "q9").err


def test_a_fault_of_kugetsu_is_one_line_and_its_details_are_kept(kugetsu, story, monkeypatch, capsys):
    for name, value in kugetsu.environment.items():
        monkeypatch.setenv(name, value)

    def broken(name, arguments):
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr(main, "run", broken)
    assert main.main(["status"]) == 1
    told = capsys.readouterr()
    assert told.out == "" and "ZeroDivisionError: oh no" in told.err and len(told.err.splitlines()) == 2
    kept = kugetsu.root / "logs" / "kugetsu.log"
    assert str(kept) in told.err and "Traceback" in kept.read_text()


def test_an_error_message_cannot_steer_the_terminal(kugetsu, story):
    shown = kugetsu("history", "\x1b[31mred\x07/x#1")
    assert shown.code == 3 and "\x1b" not in shown.err and "\x07" not in shown.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_read_names_the_remedy(kugetsu, story):
    kugetsu.root.chmod(0)
    try:
        shown = kugetsu("status")
    finally:
        kugetsu.root.chmod(0o700)
    assert shown.code == 1 and "hint: " in shown.err


def test_a_deleted_current_folder_is_named(tmp_path):
    gone = tmp_path / "gone"
    command = 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$1" -m kugetsu init --repo /srv/project'
    env = {**os.environ, "KUGETSU_DIR": str(tmp_path / "kugetsu"), "HOME": str(tmp_path)}
    shown = subprocess.run(
        ["sh", "-c", command, str(gone), sys.executable], env=env, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 1 and "the current folder was deleted" in shown.stderr and "hint: cd " in shown.stderr


def test_a_file_in_the_place_of_the_directory_is_named(kugetsu):
    kugetsu.root.write_text("")
    shown = kugetsu("init")
    assert shown.code == 1 and str(kugetsu.root) in shown.err and "hint: " in shown.err


def test_a_kugetsu_dir_that_is_no_path_is_bad_input(kugetsu):
    assert kugetsu("status", KUGETSU_DIR="/tmp/a\nb").code == 3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied", "/x/config"), ("/x/config: permission denied", "chmod")),
        (OSError(28, "No space left on device"), ("no space left", "free some space")),
        (ValueError("odd"), ("internal error in kugetsu: ValueError: odd",)),
    ],
)
def test_every_exception_becomes_a_line_with_a_remedy(error, words, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("KUGETSU_DIR", str(tmp_path / "none"))
    assert failure.report(error, []) == 1
    told = capsys.readouterr().err
    assert all(word in told for word in words) and "hint: " in told


@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("words", [("log", "stats"), ("queue", "enqueue", "a/b#1", "x"), ("help", "commands")])
def test_output_to_a_full_disk_is_an_error_of_the_output(kugetsu, story, words, more, buffered):
    environment = {**kugetsu.environment, "PYTHONUNBUFFERED": buffered, "PAGER": "cat"}
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "kugetsu", *words, *more]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
    assert done.returncode == 1
    told = done.stderr.decode()
    assert "error: cannot write the output: no space left" in told and "Traceback" not in told
    assert "hint: what the command did is in effect" in told and "history --all" in told


def test_an_error_that_no_output_takes_as_json_is_told_in_words(kugetsu, story):
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "kugetsu", "why", "q99", "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=kugetsu.environment, check=False)
    assert done.returncode == 4
    assert done.stderr.startswith(b"kugetsu: error: ")


def test_closed_standard_streams_hurt_nothing(kugetsu, story):
    head = kugetsu("log", "seal", "--json").json
    for closed in ("1", "2", "0,1,2"):
        again = "os.execv(sys.executable, [sys.executable, '-m', 'kugetsu', *sys.argv[1:]])"
        script = f"import os, sys\nfor n in ({closed},): os.close(n)\n{again}"
        for words, code in ((["status"], 0), (["queue", "enqueue", "a/b#1", "x"], 0), (["nosuch"], 3)):
            done = subprocess.run(
                [sys.executable, "-c", script, *words], env=kugetsu.environment, capture_output=True, check=False
            )
            assert done.returncode == code, (closed, words, done)
            assert b"Traceback" not in done.stderr
    assert kugetsu("log", "verify").code == 0
    assert kugetsu("log", "seal", "--json").json != head, "the tasks were queued"


def test_no_colour_is_written_where_there_is_no_terminal(kugetsu, parked):
    for words in (("status",), ("history", "q1"), ("why", "q1"), ("queue", "list"), ("list",), ("--help",)):
        assert "\x1b" not in kugetsu(*words).out


def test_sigterm_ends_a_command_that_follows_by_that_signal(kugetsu, story):
    process = kugetsu.popen("history", "--all", "-f")
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert process.returncode == -15 and err == b""


def test_ctrl_c_is_130_and_quiet(kugetsu, story):
    process = kugetsu.popen("history", "--all", "-f")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(2)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and err == b""


@pytest.mark.parametrize("words", [("history", "--all", "-f"), ("queue-daemon", "logs", "-f")])
def test_what_follows_ends_when_its_reader_is_gone_and_nothing_is_written(kugetsu, story, words):
    (kugetsu.root / "logs").mkdir(exist_ok=True)
    (kugetsu.root / "logs" / "daemon.log").write_text("a line\n")
    with kugetsu.popen(*words) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == main.BROKEN_PIPE and process.stderr.read() == b""


def test_a_verb_that_is_not_there_names_the_nearest_of_its_group(kugetsu):
    assert "did you mean" not in kugetsu("queue", "bogus").err
    assert "unknown command: 'queue lst'; did you mean queue list?" in kugetsu("queue", "lst").err


def test_a_file_in_the_place_of_the_folder_is_named(kugetsu):
    kugetsu.root.write_text("")
    for words in (("status",), ("queue", "list"), ("log", "verify")):
        shown = kugetsu(*words)
        assert shown.code == 3 and "move that away, or set KUGETSU_DIR" in shown.err, shown


def test_an_empty_log_has_no_events_to_name(kugetsu):
    shown = kugetsu("replay", "--until", "3")
    assert shown.code == 4 and "no event 3: the log is empty" in shown.err
