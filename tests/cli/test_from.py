"""`--from FILE` on every command that reads: somebody else sees what was seen where the file was made."""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kugetsu.cli import catalogue
from kugetsu.cli.catalogue import COMMANDS
from kugetsu.domain.decide import claims, queue
from kugetsu.domain.new_event import NewEvent

NOW = "12:10:00"
#: What shows the same there as where the file was made.
SAME = [
    "status --at 9",
    "status --at @-1",
    "status --at 1h ago",
    "list --at 10",
    "list --all --at 10 --json",
    "queue list --at 11",
    "queue list --all --at @-2 --json",
    "queue stats --at 2026-11-23T10:41",
    "why q1 --at 11",
    "why q1 --at 11 --json",
    "why 11 --json",
    "history q1",
    "history q1 --at 9",
    "history q3",
    "history shoko/kugetsu#14",
    "history --all",
    "diff 2",
    "diff 9 @ --json",
    "diff 1h ago q1",
    "replay",
    "replay --until 11 --json",
    "notify list --all",
    "log stats --json",
    "timeline",
    "audit",
    "replay --verify",
]
#: What reads the log and takes no --from, with the reason.
WITHOUT = {
    "notify sinks": "asks what is set up here",
    "notify watch": "waits for what comes",
    "log seal": "the head of this log",
    "log repair": "writes",
}


@pytest.fixture
def lived(kugetsu: Any, parked: Any) -> Any:
    """A day: q1 was parked and runs again, q2 waits, q3 is completed, q4 failed; a daemon runs."""
    parked.at("11:00:00", "kugetsu queue-daemon").daemon()
    parked.at("12:02:00").enqueue("later", issue="github.com/a/b#2")
    parked.enqueue("more", issue="github.com/a/b#3")
    parked.do(lambda state: queue.retry(state, "q1"))
    parked.run("q1", alive=True)
    parked.finish(parked.run("q3"), "succeed", "done", "it is done", tokens=1000)
    parked.enqueue("break", issue="github.com/a/b#4")
    parked.finish(parked.run("q4"), "fail", "give_up", "tests do not pass")
    run = kugetsu.root / "runs" / "q4.1"
    run.mkdir(parents=True)
    (run / "stderr.log").write_text("it went wrong\n")
    return parked


def exported(kugetsu: Any, story: Any) -> Path:
    path = kugetsu.folder / "log.jsonl"
    assert kugetsu("log", "export", "--jsonl", "--to", str(path)).code == 0
    return path


def bundled(kugetsu: Any, story: Any) -> Path:
    path = kugetsu.folder / "kugetsu.tar.gz"
    made = kugetsu("doctor", "--bundle", str(path), at=NOW)
    assert path.is_file(), made
    return path


def folder(kugetsu: Any, story: Any) -> Path:
    shutil.copytree(kugetsu.root / "log", kugetsu.folder / "copied")
    return kugetsu.folder / "copied"


@pytest.fixture(params=[bundled, exported, folder])
def file(request: pytest.FixtureRequest, kugetsu: Any, lived: Any) -> Path:
    path: Path = request.param(kugetsu, lived)
    return path


def elsewhere(kugetsu: Any, line: str, path: Path, at: str = "2027-01-05T08:00:00.000000Z") -> Any:
    """The command on another machine: later, with another directory and other settings."""
    more = {"KUGETSU_DIR": str(kugetsu.folder / "other"), "MAX_CONCURRENT_AGENTS": "9"}
    return kugetsu(*line.split(), "--from", str(path), at=at, **more)


def test_the_same_is_seen_there(kugetsu, lived, file):
    # A bundle knows when it was made; of any other file the last event is the latest moment.
    then = NOW if file.suffix == ".gz" else lived.time
    kugetsu.environment["COLUMNS"] = ""  # commands that ask name the file there: nothing may be cut
    for line in SAME:
        here = kugetsu(*line.split(), at=then)
        there = elsewhere(kugetsu, line, file)
        assert (here.code, there.code) == (0, 0), (line, here, there)
        assert without_file(as_told(line, there.out), file) == as_told(line, here.out), line
    assert not (kugetsu.folder / "other").exists()


def as_told(line: str, out: str) -> str:
    """What is shown, without the names that a bundle replaces, and the size of the files."""
    if line == "log stats --json":
        return json.dumps({name: value for name, value in json.loads(out).items() if name not in ("bytes", "segments")})
    return out.replace("host1", "desk").replace("user1", "shoko")


def without_file(out: str, path: Path) -> str:
    """What is shown, without the words with which one goes on asking that file."""
    return out.replace(f"        append --from {path} to the commands below", "").replace(f" --from {path}", "")


def test_a_bundle_tells_of_the_moment_at_which_it_was_made(kugetsu, lived, snapshot, fits):
    bundled(kugetsu, lived)
    shown = elsewhere(kugetsu, "status", Path("../kugetsu.tar.gz"))
    assert shown.code == 0 and fits(shown.out)
    snapshot("status-from", shown.out)
    data = elsewhere(kugetsu, "status --json", kugetsu.folder / "kugetsu.tar.gz").json
    assert data["now"] == f"2026-11-23T{NOW}.000000Z" == data["as_of"]["at"]
    assert data["agents"][0]["alive"] is True and data["cap"] == 3
    assert data["directory"].endswith("kugetsu.tar.gz")


def test_a_bundles_settings_are_those_of_its_place(kugetsu, lived):
    assert kugetsu("config", "set", "MAX_CONCURRENT_AGENTS", "1").code == 0
    path = bundled(kugetsu, lived)
    assert elsewhere(kugetsu, "status --json", path).json["cap"] == 1
    assert "when a slot frees" in elsewhere(kugetsu, "status", path).out
    assert elsewhere(kugetsu, "status --json --at 11", path).json["cap"] == 3


def killed(kugetsu: Any, story: Any) -> None:
    """The daemon is gone without a word."""
    story.held.pop().release()


def short_of_memory(kugetsu: Any, story: Any) -> None:
    kugetsu.environment["MIN_FREE_MEMORY_MB"] = "1000000"


def short_of_disk(kugetsu: Any, story: Any) -> None:
    kugetsu.environment["MIN_FREE_DISK_MB"] = "1000000"


def dead_agent(kugetsu: Any, story: Any) -> None:
    """q2's agent died, and nobody has recorded that."""
    story.run("q2")
    story.enqueue("after it", issue="github.com/a/b#2")


def working_agent(kugetsu: Any, story: Any) -> None:
    """q2's agent says what it does."""
    attempt = story.run("q2", alive=True)
    run = kugetsu.root / "runs" / attempt
    run.mkdir(parents=True)
    said = "I look at ghp_" + "a1B2" * 9
    (run / "output.jsonl").write_text(
        json.dumps({"type": "text", "timestamp": 1795435500000, "part": {"text": said}}) + "\n"
    )


def spent_budget(kugetsu: Any, story: Any) -> None:
    kugetsu.environment["ISSUE_MAX_TOKENS"] = "100"
    story.enqueue("once more", issue="github.com/a/b#3")


def spent_money(kugetsu: Any, story: Any) -> None:
    """More money than six digits hold."""
    kugetsu.environment["ISSUE_MAX_COST"] = "12345.67"
    story.finish(story.run("q2"), "succeed", "done", "it is done", cost=12345.675)
    story.enqueue("once more", issue="github.com/a/b#2")


def unknown_setting(kugetsu: Any, story: Any) -> None:
    (kugetsu.root / "config").write_text("MAX_CONCURENT_AGENTS=9\nMAX_CONCURRENT_AGENTS=1\n")


WORSE = [
    killed,
    short_of_memory,
    short_of_disk,
    dead_agent,
    working_agent,
    spent_budget,
    spent_money,
    unknown_setting,
]


@pytest.fixture
def ending(kugetsu: Any, parked: Any) -> Any:
    """A day as `lived`, whose daemon's lease is the last that is held."""
    parked.at("12:02:00").enqueue("later", issue="github.com/a/b#2")
    parked.enqueue("more", issue="github.com/a/b#3")
    parked.do(lambda state: queue.retry(state, "q1"))
    parked.run("q1", alive=True)
    parked.finish(parked.run("q3"), "succeed", "done", "it is done", tokens=1000)
    parked.at("12:03:00", "kugetsu queue-daemon").daemon()
    return parked


@pytest.mark.parametrize("happened", WORSE)
def test_what_no_event_tells_is_seen_there_too(kugetsu, ending, happened):
    """Each screen as where the bundle was made, but for its first line and the last of `why`."""
    kugetsu.environment["COLUMNS"] = ""  # names have other lengths there: nothing may be cut
    happened(kugetsu, ending)
    path = bundled(kugetsu, ending)
    open_ones = [task.id for task in ending.log.state().waiting()]
    for line in ("status", *(f"why {task}" for task in [*open_ones, "q1"])):
        here, there = kugetsu(*line.split(), at=NOW), elsewhere(kugetsu, line, path)
        assert (here.code, there.code) == (0, 0), (line, here, there)
        heading, *shown = without_file(as_told(line, there.out), path).splitlines()
        assert heading.startswith("as of event ")
        if line != "status":
            assert shown.pop().startswith("asked with settings and machine as they were when the file was made;")
        assert measured(shown) == measured(here.out.replace(str(kugetsu.folder), "~").splitlines()), line
        pair = elsewhere(kugetsu, f"{line} --json", path), kugetsu(*line.split(), "--json", at=NOW)
        told_there, told_here = (without_place(one.json, kugetsu.folder) for one in pair)
        assert measured(told_there) == measured(told_here), line


def without_place(data: Any, folder: Path) -> list[str]:
    """What `--json` says but for the point that it is of, its names as those where it was made."""
    kept = {name: value for name, value in data.items() if name not in ("as_of", "directory")}
    return as_told("", json.dumps(kept, indent=1)).replace(str(folder), "~").splitlines()


def measured(lines: list[str]) -> list[str]:
    """Without what changes from one look at the machine to the next."""
    text = re.sub(r"(MIN_FREE_(?:MEMORY|DISK)_MB )\d+", r"\1N", "\n".join(lines))
    return re.sub(r"\d+ MB of (memory|disk) free", r"N MB of \1 free", text).splitlines()


def test_without_messages_nothing_is_told_of_what_agents_did(kugetsu, ending):
    working_agent(kugetsu, ending)
    path = kugetsu.folder / "quiet.tar.gz"
    assert kugetsu("doctor", "--bundle", str(path), "--no-messages", at=NOW).code in (0, 1)
    agents = elsewhere(kugetsu, "status --json", path).json["agents"]
    assert [(agent["alive"], agent["last"]) for agent in agents] == [(True, None), (True, None)]
    assert "I look at" in kugetsu("status", at=NOW).out


def remade(path: Path, name: str, change: Any) -> Path:
    """A bundle like that one, with another content of one of its JSON files."""
    other = path.with_name("remade.tar.gz")
    with tarfile.open(path) as old, tarfile.open(other, "w:gz") as new:
        for member in old.getmembers():
            data = old.extractfile(member).read()
            if member.name == name:
                value = json.loads(data)
                change(value)
                data = json.dumps(value).encode()
                member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return other


def test_a_bundle_without_a_look_tells_what_the_log_and_the_settings_say(kugetsu, ending):
    killed(kugetsu, ending)
    path = remade(bundled(kugetsu, ending), "manifest.json", lambda manifest: manifest.pop("look"))
    data = elsewhere(kugetsu, "status --json", path).json
    assert data["daemon"]["state"] == "running" and data["agents"][0]["alive"] is None
    assert data["now"] == f"2026-11-23T{NOW}.000000Z"
    assert "asked with the settings in the file, and the machine as event" in elsewhere(kugetsu, "why q2", path).out


def test_a_look_that_is_not_one_is_left_out(kugetsu, ending):
    path = bundled(kugetsu, ending)
    spoilt = [
        lambda look: look["facts"].update(warmup_seconds=1e300),
        lambda look: look["facts"].update(repository_caps={"*": "many"}),
        lambda look: look["facts"].pop("free_disk_mb"),
        lambda look: look["agents"].update({"q1.2": {"alive": "yes"}}),
        lambda look: look["agents"]["q1.2"].update(at="yesterday"),
        lambda look: look.update(agents=7),
        lambda look: look.update(seq=3),
        lambda look: look.clear(),
    ]
    for spoil in spoilt:
        other = remade(path, "manifest.json", lambda manifest, spoil=spoil: spoil(manifest["look"]))
        data = elsewhere(kugetsu, "status --json", other)
        assert data.code == 0 and data.json["agents"][0]["alive"] is None, data
    assert (
        elsewhere(kugetsu, "status --json", remade(path, "manifest.json", lambda _: None)).json["agents"][0]["alive"]
        is True
    )


def test_a_bundle_that_is_cut_off_is_of_the_time_of_its_last_event(kugetsu, ending):
    path = bundled(kugetsu, ending)
    with tarfile.open(path) as archive:
        log = archive.getmember("log.jsonl")
    unpacked = gzip.decompress(path.read_bytes())
    lines = unpacked[log.offset_data : log.offset_data + log.size].splitlines(keepends=True)
    kept = lines[:20]
    path.write_bytes(gzip.compress(unpacked[: log.offset_data + sum(map(len, kept))]))
    shown = elsewhere(kugetsu, "status --json", path)
    assert shown.err.count("it is truncated") == 1, shown
    last = json.loads(kept[-1])
    assert (shown.json["now"], shown.json["seq"]) == (last["at"], 20) and shown.json["agents"][0]["alive"] is None


def test_without_settings_those_of_the_nearest_decision_count(kugetsu, lived):
    data = elsewhere(kugetsu, "status --json", exported(kugetsu, lived)).json
    assert data["cap"] == 3 and data["as_of"]["facts_from"] is not None
    assert data["now"] == lived.time


def test_a_part_is_shown_with_a_word_on_what_is_missing(kugetsu, lived):
    path = exported(kugetsu, lived)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[14:]))
    shown = elsewhere(kugetsu, "queue list", path)
    assert shown.code == 0 and "it is a part of a log, events 15 to" in shown.err, shown
    assert elsewhere(kugetsu, "history --all", path).code == 0
    early = elsewhere(kugetsu, "status --at 3", path)
    assert early.code == 4 and "begins with event 15" in early.err


def test_what_is_odd_about_a_file_is_said_once(kugetsu, lived):
    path = exported(kugetsu, lived)
    path.write_bytes(b"garbage\n" + path.read_bytes())
    shown = elsewhere(kugetsu, "why q2", path)
    assert shown.err.count("log.jsonl: 1 line is not an event and was skipped: line 1") == 1
    assert json.loads(elsewhere(kugetsu, "status --json", path).out)["initialised"] is True


def test_events_of_a_newer_kugetsu_are_told_as_violations(kugetsu, lived):
    path = exported(kugetsu, lived)
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    events[-1]["v"] = 99
    path.write_text("\n".join(map(json.dumps, [*events, {**events[-1], "seq": 999, "type": "moon.landed"}])))
    shown = elsewhere(kugetsu, "replay", path)
    assert shown.code == 0 and "moon.landed is not a kind of event that this version knows" in shown.out


def test_log_verify_says_what_can_be_verified(kugetsu, lived):
    path = exported(kugetsu, lived)
    whole = elsewhere(kugetsu, "log verify", path)
    assert whole.code == 0 and "verify, head" in whole.out
    redacted = elsewhere(kugetsu, "log verify", bundled(kugetsu, lived))
    assert redacted.code == 0 and "nothing can be verified: it was redacted" in redacted.out
    assert elsewhere(kugetsu, "log verify --json", kugetsu.folder / "kugetsu.tar.gz").json["ok"] is None
    path.write_bytes(path.read_bytes().replace(b"usage limit", b"usage LIMIT", 1))
    damaged = elsewhere(kugetsu, "log verify", path)
    assert damaged.code == 6 and "damaged" in damaged.out


@pytest.mark.parametrize("line", ["status", "why q2", "history --all", "queue list", "replay", "log export --jsonl"])
def test_of_a_damaged_log_one_is_told_how_to_see_the_rest(kugetsu, lived, line):
    for segment in (kugetsu.root / "log").glob("0*.jsonl"):
        segment.write_bytes(segment.read_bytes().replace(b'"message":"more"', b'"message":"more', 1))
    (kugetsu.root / "log" / "checkpoint").unlink(missing_ok=True)
    refused = kugetsu(*line.split())
    assert refused.code == 6 and f"--from {kugetsu.root}/log" in refused.err, refused
    shown = elsewhere(kugetsu, line, kugetsu.root / "log")
    assert shown.code == 0 and "1 line is not an event and was skipped" in shown.err, shown
    assert "--from" not in kugetsu("queue", "enqueue", "a/b#9", "go").err


@pytest.mark.parametrize("made", [exported, folder])
def test_what_was_edited_is_not_shown_without_a_word(kugetsu, lived, made):
    path = made(kugetsu, lived)
    assert "written" not in elsewhere(kugetsu, "why q4", path).err
    for part in [path] if path.is_file() else path.glob("0*.jsonl"):
        part.write_bytes(part.read_bytes().replace(b"tests do not pass", b"tests do all pass", 1))
    shown = elsewhere(kugetsu, "why q4", path)
    edited = next(event["seq"] for event in lived.log.read() if "tests do not pass" in json.dumps(event))
    said = f"1 event was changed: event {edited}: kugetsu log verify --from"
    assert shown.code == 0 and said in shown.err, shown
    assert elsewhere(kugetsu, "log verify", path).code == 6


def part(kugetsu: Any, ending: Any) -> Path:
    """An export without its beginning, in which nothing of q2, which waits, is left but that it was held."""
    ending.at("12:04:00").enqueue("release", issue="github.com/a/b#7", after=["q2"])
    state, facts = ending.log.state(), ending.facts(cap=0)
    ending.do(lambda state: claims.hold(state, claims.plan(state, facts), facts))
    path = exported(kugetsu, ending)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[state.seq - 2 :]))
    return path


def test_of_a_part_nothing_is_said_that_only_its_beginning_tells(kugetsu, ending):
    kugetsu.environment["COLUMNS"] = ""
    path = part(kugetsu, ending)
    shown = elsewhere(kugetsu, "why q2", path)
    assert shown.code == 0 and "left the list" not in shown.out and "how it was queued is not in the file" in shown.out
    checked = elsewhere(kugetsu, "log verify", path)
    assert checked.code == 0 and "refused" not in checked.out, checked
    assert "the meaning of its events was not checked" in checked.out
    assert elsewhere(kugetsu, "status", path).out.count("machines refuse") == 0


@pytest.mark.parametrize("made", [bundled, exported, folder])
def test_a_seal_of_later_events_cannot_be_told_but_of_a_log_folder(kugetsu, ending, made):
    first = kugetsu("log", "seal").out.strip()
    path = made(kugetsu, ending)
    ending.enqueue("more", issue="github.com/a/b#8")
    seal = kugetsu("log", "seal").out.strip()
    shown = kugetsu("log", "verify", "--head", seal, "--from", str(path))
    seq = ending.log.state().seq
    if made is folder:
        assert (
            shown.code == 6 and f"DIFFERS from the seal: event {seq} was sealed, the events here are 1 to" in shown.out
        )
    else:
        assert shown.code == 0 and "damaged" not in shown.out + shown.err, shown
        assert f"whether it matches the seal at event {seq} cannot be verified: it ends with event" in shown.out
    data = kugetsu("log", "verify", "--head", seal, "--from", str(path), "--json").json
    assert data["ok"] is {bundled: None, exported: True, folder: False}[made]
    assert data["seals"][0]["ok"] is (False if made is folder else None)
    wrong = kugetsu("log", "verify", "--head", f"{first.split()[2].split(':')[0]}:{'0' * 32}", "--from", str(path))
    assert wrong.code == 6 and "DIFFERS from the seal: event" in wrong.out and "another digest" in wrong.out, wrong


@pytest.mark.parametrize("happened", [killed, unknown_setting])
def test_what_a_bundle_has_beside_the_log_is_shown_by_the_commands_that_show_it(kugetsu, ending, happened):
    kugetsu.environment["COLUMNS"] = ""
    kugetsu.environment["MAX_ATTEMPTS"] = "7"
    happened(kugetsu, ending)
    (kugetsu.root / "logs").mkdir(exist_ok=True)
    (kugetsu.root / "logs" / "daemon.log").write_text("one\ntwo\nthree\n")
    doctor = kugetsu("doctor", "--json", at=NOW)
    path = bundled(kugetsu, ending)
    for line in ("config list", "config get MAX_ATTEMPTS", "queue-daemon status", "queue-daemon logs -n 2"):
        here, there = kugetsu(*line.split(), at=NOW), elsewhere(kugetsu, line, path)
        assert there.code == 0, there
        told = [
            out.replace(str(kugetsu.folder), "~").replace("~/kugetsu/config:", "config:")
            for out in (here.out, there.out)
        ]
        assert told[0].split() == told[1].split(), line  # the columns are as wide as the paths in them
    there = elsewhere(kugetsu, "doctor --json", path)
    assert there.code == doctor.code, there
    assert [(one["name"], one["level"]) for one in there.json["findings"]] == [
        (one["name"], one["level"]) for one in doctor.json["findings"]
    ]


def test_findings_of_somebody_else_cannot_steer_the_terminal(kugetsu, ending):
    evil: list[Any] = [{"group": "\x1b[2Ja", "name": "n", "level": "problem", "text": "\x1b[2Jb", "fix": "\x1b[2Jc"}]
    evil += [{"group": 7, "level": []}, 7, {"group": "g", "name": "n", "level": "fine", "text": "left out"}]
    path = remade(bundled(kugetsu, ending), "findings.json", lambda found: found.extend(evil))
    shown = elsewhere(kugetsu, "doctor", path)
    assert shown.code == 1 and "\x1b" not in shown.out + shown.err and "left out" not in shown.out, shown


def test_what_a_file_does_not_have_is_said(kugetsu, lived):
    path = exported(kugetsu, lived)
    for line in ("config list", "config get MAX_ATTEMPTS", "queue-daemon logs", "doctor"):
        shown = elsewhere(kugetsu, line, path)
        assert shown.code == 4 and "is not in" in shown.err and "hint: a bundle has it" in shown.err, (line, shown)
    assert elsewhere(kugetsu, "queue-daemon status --json", path).json["running"] is True
    assert elsewhere(kugetsu, "queue-daemon logs -f", path).code == 3
    assert elsewhere(kugetsu, "doctor --online", path).code == 3


COMMAND = re.compile(r"kugetsu (?:[^\s'\"]|'[^']*'| (?=[^ ]))*")


def test_commands_that_ask_go_on_asking_the_file(kugetsu, ending):
    kugetsu.environment["COLUMNS"] = ""
    killed(kugetsu, ending)
    path = bundled(kugetsu, ending).rename(kugetsu.folder / "a bundle.gz")
    source = f" --from '{path}'"
    seen = set()
    status = kugetsu("status", "--from", str(path))
    assert f"attention        append{source} to the commands below\n" in status.out, status
    for line in ("why q1", "why q2", "why q2 --at 20", "why q3", "why 12", "history q2", "audit waits"):
        shown = kugetsu(*line.split(), "--from", str(path), KUGETSU_DIR=str(kugetsu.folder / "other"))
        assert shown.code == 0, shown
        for command in COMMAND.findall("\n".join(part for part in shown.out.splitlines() if " typed by " not in part)):
            words = command.split()
            name = " ".join(words[1:3]) if f"{words[1]} {words[2]}" in COMMANDS else words[1]
            asks = "--from" in options(name) and words[-1] != "-f" and name != "logs"
            assert (source in command) == asks, (line, command)
            seen.add(name)
    assert {"why", "history", "queue retry", "logs"} <= seen
    cut = kugetsu("history", "q1", "--at", "9", "--from", str(path))
    assert f"why: kugetsu why q1 --at 9{source}        up to now: kugetsu history q1{source}\n" in cut.out, cut
    refused = kugetsu("why", "q99", "--from", str(path))
    assert refused.code == 4 and f"hint: kugetsu queue list --all{source}" in refused.err


def test_a_command_at_a_point_goes_on_asking_there(kugetsu, ending):
    ending.at("12:04:00").enqueue("release", issue="github.com/a/b#7", after=["q2"])
    shown = kugetsu("why", "q4", "--at", "1h", "ago", at="13:04:30")
    assert "more: kugetsu why q2 --at 2026-11-23T12:04:30Z" in shown.out, shown
    assert "full history: kugetsu history q4\n" in shown.out
    assert "more: kugetsu why q2)" in kugetsu("why", "q4", at=NOW).out


def test_each_command_that_goes_on_asking_takes_from():
    from kugetsu.views import screen

    assert all("--from" in options(name) for name in screen.READING)
    assert all("--at" in options(name) for name in screen.POINTED)


def test_what_an_export_took_out_or_left_out_is_told(kugetsu, lived):
    token = "ghp_" + "a1B2" * 9
    lived.do(lambda _: [NewEvent("setting.changed", {"key": "KUGETSU_MODEL", "old": "", "new": f"x {token}"})])
    path = exported(kugetsu, lived)
    shown = elsewhere(kugetsu, "log verify", path)
    assert shown.code == 0 and "not all can be verified: something was taken out of 1 event" in shown.out, shown
    assert token not in elsewhere(kugetsu, "history --all", path).out
    part = kugetsu.folder / "q1.jsonl"
    assert kugetsu("log", "export", "q1", "--to", str(part)).code == 0
    shown = elsewhere(kugetsu, "log verify", part)
    assert shown.code == 0 and "events are missing before" in shown.out and "are missing" in shown.err, shown
    rows = [
        out.splitlines()[2:10] for out in (elsewhere(kugetsu, "history q1", part).out, kugetsu("history", "q1").out)
    ]
    assert rows[0] == rows[1]


def test_logs_of_a_bundle_are_what_failed_agents_wrote_to_stderr(kugetsu, lived):
    path = bundled(kugetsu, lived)
    assert "q4.1" in elsewhere(kugetsu, "logs", path).out
    shown = elsewhere(kugetsu, "logs q4", path)
    assert shown.code == 0 and "it went wrong" in shown.out and "tests do not pass" in shown.out, shown
    assert elsewhere(kugetsu, "logs q4 --json", path).json["stderr"] == ["it went wrong"]
    assert elsewhere(kugetsu, "logs q4 -f", path).code == 3


def test_context_is_what_the_log_says(kugetsu, lived):
    shown = elsewhere(kugetsu, "context a/b#4", bundled(kugetsu, lived))
    assert shown.code == 0 and "tests do not pass" in shown.out and "no prompts or agent outputs" in shown.err, shown
    assert "gone" not in shown.out


@pytest.mark.parametrize("line", ["status --watch", "history q1 -f"])
def test_nothing_more_comes(kugetsu, lived, line):
    shown = elsewhere(kugetsu, line, exported(kugetsu, lived))
    assert shown.code == 3 and "hint: " in shown.err, shown


@pytest.mark.parametrize("line", ["queue enqueue a/b#1 go", "queue cancel q1", "init", "notify clear", "doctor --fix"])
def test_what_changes_something_has_no_from(kugetsu, lived, line):
    path = exported(kugetsu, lived)
    assert kugetsu(*line.split(), "--from", str(path)).code == 3


def test_a_file_that_is_no_log_is_told(kugetsu):
    for name, content, code in (
        ("nothing", None, 4),
        ("empty", b"", 3),
        ("text", b"hello\n", 3),
        ("zip", b"PK\x03\x04", 3),
    ):
        path = kugetsu.folder / name
        if content is not None:
            path.write_bytes(content)
        shown = kugetsu("status", "--from", str(path))
        assert shown.code == code and "kugetsu: error: " in shown.err and "Traceback" not in shown.err, shown
    with tarfile.open(kugetsu.folder / "other.tar.gz", "w:gz"):
        pass
    assert kugetsu("status", "--from", str(kugetsu.folder / "other.tar.gz")).code == 3
    (kugetsu.folder / "bomb").write_bytes(gzip.compress(b"\0" * (80 << 20)))
    shown = kugetsu("status", "--from", str(kugetsu.folder / "bomb"))
    assert shown.code == 3 and "implausible compression ratio" in shown.err


def test_every_command_that_reads_the_log_takes_from():
    readers = [name for name in COMMANDS if "--at" in options(name) or name in {line.split(" --")[0] for line in SAME}]
    assert [name for name in readers if "--from" not in options(name)] == []
    for name in (
        "status",
        "list",
        "queue list",
        "queue stats",
        "history",
        "why",
        "replay",
        "diff",
        "logs",
        "log verify",
    ):
        assert "--from" in options(name), name
    assert [name for name in WITHOUT if "--from" in options(name)] == []


def options(name: str) -> set[str]:
    return {option for one in catalogue.load(name)[0].declared for option in one.names}


EVIL: list[Any] = [None, 7, -1, 1.5, "", "x" * 5000, "\x1b[2J", [], {}, [1], {"a": 1}, True]


def test_whatever_the_events_say_no_command_breaks_down(kugetsu, lived):
    """Every value of every event replaced, one at a time: told, refused or left out, never a traceback or a hang."""
    path = exported(kugetsu, lived)
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    lines = []
    for number, event in enumerate(events):
        keys = [*event["data"], None]
        key = keys[number % len(keys)]
        if key is not None:
            event["data"][key] = EVIL[number % len(EVIL)]
        lines.append(json.dumps(event))
    path.write_text("\n".join(lines))
    for line in (
        "status",
        "list --all",
        "queue list --all",
        "history --all",
        "history q1",
        "why q1",
        "replay",
        "diff 1",
    ):
        shown = elsewhere(kugetsu, line, path)
        assert shown.code in (0, 1, 4) and "Traceback" not in shown.err and "\x1b" not in shown.out, (line, shown)
