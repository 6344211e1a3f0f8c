"""`kugetsu log` verify, repair, stats."""

from __future__ import annotations


def _segment(kugetsu):
    return kugetsu.root / "log" / "00000000000000000001.jsonl"


def test_a_whole_log_verifies(kugetsu, parked):
    shown = kugetsu("log", "verify")
    assert shown.code == 0 and "11 events in 1 segment verify" in shown.out
    data = kugetsu("log", "verify", "--json").json
    assert data["ok"] and data["head"]["seq"] == 11 and data["violations"] == [] and data["invariants"] == []


def test_a_flipped_bit_is_found_and_every_command_says_where_to_look(kugetsu, parked):
    path = _segment(kugetsu)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    shown = kugetsu("log", "verify")
    assert shown.code == 6 and "damaged" in shown.out and "hint: " in shown.err
    assert kugetsu("log", "verify", "--json").json["problems"]
    for words in ("status", "queue list", "history --all", "queue enqueue a/b#1 x", "why q1"):
        refused = kugetsu(*words.split())
        assert refused.code == 6 and "log verify" in refused.err and "Traceback" not in refused.err, refused
    repair = kugetsu("log", "repair")
    assert repair.code == 6 and "nothing was done" in repair.out
    assert path.read_bytes() == bytes(raw)


def test_a_torn_tail_is_not_damage_and_is_repaired_on_request(kugetsu, parked):
    path = _segment(kugetsu)
    with path.open("ab") as file:
        file.write(b'{"seq":12,"at":"20')
    shown = kugetsu("log", "verify")
    assert shown.code == 0 and "unfinished write of 18 bytes" in shown.out and "log repair" in shown.err
    mended = kugetsu("log", "repair", "--json").json
    assert mended["mended"] and mended["event"] == 12
    assert "nothing to repair" in kugetsu("log", "repair").out
    assert kugetsu("log", "verify").code == 0


def test_a_refused_event_is_reported_with_its_seq(kugetsu, story):
    from kugetsu.domain.new_event import NewEvent

    story.do(lambda state: [NewEvent("task.completed", {"summary": "?"}, task="q77")])
    shown = kugetsu("log", "verify")
    assert shown.code == 0 and "event 3  refused" in shown.out


def test_stats_count_kinds(kugetsu, parked):
    data = kugetsu("log", "stats", "--json").json
    assert data["events"] == 11 and data["types"]["attempt.claimed"] == 1
    assert "11 events" in kugetsu("log", "stats").out


def test_an_empty_log_says_so(kugetsu):
    for verb in ("verify", "stats"):
        shown = kugetsu("log", verb)
        assert shown.code == 0 and "the log is empty" in shown.out
    assert kugetsu("log", "repair").code == 0
    assert not kugetsu.root.exists()
