"""`kugetsu log seal` and `log verify --head`: what the chain of digests alone cannot show."""

from __future__ import annotations

import json
import os

import pytest

from cli.test_json_shapes import compare, documented
from kugetsu.log import codec, seals


def _segment(kugetsu):
    return kugetsu.root / "log" / "00000000000000000001.jsonl"


def _rewritten(kugetsu, change):
    """The whole chain anew, each line fitting the one before, with the events that ``change`` gives."""
    path, sha = _segment(kugetsu), codec.GENESIS
    lines = []
    for line in path.read_bytes().splitlines():
        event = json.loads(line)
        change(event)
        del event["sha"]
        made, sha = codec.seal(sha, json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()[:-1])
        lines.append(made + b"\n")
    path.write_bytes(b"".join(lines))
    (kugetsu.root / "log" / "checkpoint").unlink(missing_ok=True)


def test_a_seal_holds_while_the_log_grows(kugetsu, parked, snapshot, fits):
    sealed = kugetsu("log", "seal")
    assert sealed.code == 0 and sealed.out.count("\n") == 1
    head = kugetsu("log", "seal", "--json").json
    assert (
        sealed.out.strip() == head["line"] and head["check"] == f"kugetsu log verify --head {head['seq']}:{head['sha']}"
    )
    parked.enqueue("more", issue="github.com/a/b#2")
    for given in (f"{head['seq']}:{head['sha']}", head["line"], f"{head['seq']}:{head['sha'].upper()}"):
        checked = kugetsu("log", "verify", "--head", given)
        assert checked.code == 0 and "events 1 to 11 are unchanged; 1 event was appended since" in checked.out
    shown = sealed.out + sealed.err + kugetsu("log", "verify", "--head", head["line"]).out
    for text in (head["sha"], kugetsu("log", "seal", "--json").json["sha"]):
        shown = shown.replace(text, "<digest>")
    snapshot("seal", shown)
    assert fits(shown, 100)


def test_a_tail_that_was_cut_at_a_lines_end_is_only_shown_by_a_seal(kugetsu, parked):
    head = kugetsu("log", "seal", "--json").json
    path = _segment(kugetsu)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    assert kugetsu("log", "verify").code == 0
    checked = kugetsu("log", "verify", "--head", head["line"])
    assert checked.code == 6 and "DIFFERS from the seal: event 11 was sealed, the log ends at 9" in checked.out
    assert "hint: its digests are consistent" in checked.err
    shown = kugetsu("log", "verify", "--head", head["line"], "--json").json
    compare(shown, documented("log verify"))
    (found,) = shown["seals"]
    assert found["ok"] is False and found["seq"] == 11


def test_a_chain_that_was_written_anew_is_only_shown_by_a_seal(kugetsu, parked, snapshot):
    head = kugetsu("log", "seal", "--json").json

    def change(event):
        if event["type"] == "attempt.failed":
            event["data"]["cost"] = 0.0

    _rewritten(kugetsu, change)
    assert kugetsu("log", "verify").code == 0
    checked = kugetsu("log", "verify", "--head", head["line"], "--json")
    assert checked.code == 6 and not checked.json["ok"] and checked.json["events"] == 11
    assert [problem["kind"] for problem in checked.json["problems"]] == ["head"]
    assert "event 11 is not the sealed one" in kugetsu("log", "verify", "--head", head["line"]).out


def test_another_log_is_told_apart(kugetsu, parked):
    head = kugetsu("log", "seal", "--json").json
    other = head["line"].replace(head["log"], "0123456789ab")
    checked = kugetsu("log", "verify", "--head", other)
    assert checked.code == 6 and "the seal belongs to another log: 0123456789ab" in checked.out


def test_a_damaged_log_says_that_first(kugetsu, parked):
    head = kugetsu("log", "seal", "--json").json
    path = _segment(kugetsu)
    path.write_bytes(path.read_bytes().replace(b'"cost":1.25', b'"cost":0.25'))
    checked = kugetsu("log", "verify", "--head", head["line"])
    assert checked.code == 6 and "the log is damaged in 1 place" in checked.out
    assert "cannot be verified" in checked.out
    refused = kugetsu("log", "seal")
    assert refused.code == 6 and "not sealed" in refused.err and refused.out == ""


def test_seals_gather_in_a_file_and_each_of_them_is_checked(kugetsu, parked, tmp_path):
    kept = tmp_path / "seals"
    assert kugetsu("log", "seal", "--to", str(kept)).code == 0
    parked.enqueue("more", issue="github.com/a/b#2")
    kugetsu("log", "seal", "--to", str(kept))
    assert len(kept.read_text().splitlines()) == 2 and kept.stat().st_mode & 0o777 == 0o600
    checked = kugetsu("log", "verify", "--head", str(kept))
    assert checked.code == 0 and checked.out.count("are unchanged") == 2
    kept.write_text(kept.read_text().replace("seal 11:", "seal 10:"))
    checked = kugetsu("log", "verify", "--head", str(kept))
    assert checked.code == 6 and "event 10 is not the sealed one" in checked.out


def test_lines_of_the_file_that_are_no_seals_are_told(kugetsu, parked, tmp_path):
    kept = tmp_path / "seals"
    kugetsu("log", "seal", "--to", str(kept))
    line = kept.read_text()
    assert kugetsu("log", "verify", "--head", str(kept)).err == ""
    kept.write_text(f"{line}\n{line[:40]}\nmy notes\n> {line.replace(' log', chr(10) + '> log')}")
    checked = kugetsu("log", "verify", "--head", str(kept))
    assert checked.code == 0 and checked.out.count("are unchanged") == 2
    assert checked.err == "seals: 2 lines are not seals and were skipped: the first is line 3\n"
    kept.write_text(f"{line}oops")
    assert "1 line is not a seal and was skipped: line 2" in kugetsu("log", "verify", "--head", str(kept)).err


def test_a_file_beside_the_log_is_no_place_for_a_seal(kugetsu, parked):
    assert "is next to the log" in kugetsu("log", "seal", "--to", str(kugetsu.root / "seals")).err
    refused = kugetsu("log", "seal", "--to", str(kugetsu.root / "nowhere" / "seals"))
    assert refused.code == 1 and "cannot write" in refused.err and "hint: " in refused.err


@pytest.mark.parametrize("given", ["", "214", "214:abc", "x:9b2c6a1e0f4d4c55a3e1c0a7d2b84f10", "0:" + "a" * 32, "\0"])
def test_what_is_no_seal_is_refused(kugetsu, parked, given):
    refused = kugetsu("log", "verify", f"--head={given}") if "\0" not in given else None
    if refused is not None:
        assert refused.code == 3 and "kugetsu log seal" in refused.err
    assert seals.parse(given) == []


def test_an_empty_log_is_not_sealed(kugetsu):
    refused = kugetsu("log", "seal")
    assert refused.code == 1 and "hint: kugetsu init" in refused.err
    assert not os.path.exists(kugetsu.root)


def test_a_seal_that_a_mail_wrapped_and_quoted_is_read():
    line = f"kugetsu seal 214:{'5d' * 16} 2026-11-23T10:41:10.000000Z log c858e013f367"
    for text in (line, "> On Monday:\n> " + line.replace(" ", "\n> "), f"{line}\n{line}"):
        found = seals.parse(text)
        assert {str(seal) for seal in found} == {line}
