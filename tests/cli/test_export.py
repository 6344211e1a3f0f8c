"""`kugetsu log export`: the events for anybody to check, and the attempts for any OpenTelemetry receiver."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import time

import pytest

from cli import receiver as otlp
from kugetsu.domain.decide import attempts, queue
from runtime.servers import Proxy, serving

ISSUE = "github.com/shoko/kugetsu#14"


def _log(kugetsu):
    return (kugetsu.root / "log" / "00000000000000000001.jsonl").read_bytes()


@pytest.fixture
def worked(story):
    """q1: an attempt that failed, one that succeeded after it; q2, cancelled while it ran; q3 runs."""
    story.at("10:00:02", "kugetsu queue enqueue").enqueue("implement X")
    story.at("10:00:05", "kugetsu queue-daemon run")
    first = story.run("q1")
    story.at("10:10:00").finish(first, "fail", "retry", "it crashed", exit=1, tokens=100)
    story.at("10:12:00")
    second = story.run("q1")
    pull = {"url": "https://example.com/3", "number": 3, "state": "open"}
    evidence = {"commits": 2, "pushed": True, "head": "c0ffee", "branch": "fix/issue-14", "pull": pull}
    story.at("10:30:00").finish(second, "succeed", "done", "all done", exit=0, tokens=4000, cost=0.5, evidence=evidence)
    story.enqueue("implement Y", issue="github.com/a/b#2")
    third = story.run("q2")
    story.at("10:31:00").do(lambda state: queue.cancel(state, "q2", "cancel"))
    story.at("10:31:10").finish(third, "kill", "cancelled", "stopped on request", signal=15)
    story.enqueue("implement Z", issue="github.com/a/b#3")
    story.run("q3")
    return story


# --- JSON lines -----------------------------------------------------------------------------------------------------


def test_the_lines_are_the_events_byte_for_byte(kugetsu, worked):
    shown = kugetsu("log", "export")
    assert shown.raw == _log(kugetsu) and shown.code == 0
    assert re.fullmatch(r"\d+ events\n", shown.err)


def test_anybody_can_check_the_chain_of_an_export(kugetsu, worked):
    previous = "0" * 32
    for line in kugetsu("log", "export").raw.splitlines():
        body, _, rest = line.rpartition(b',"sha":"')
        previous = hashlib.sha256(previous.encode() + body).hexdigest()[:32]
        assert rest == previous.encode() + b'"}'


def test_an_export_is_a_log_that_can_be_read_elsewhere(kugetsu, worked, tmp_path):
    kept = tmp_path / "night.jsonl"
    assert kugetsu("log", "export", "--to", str(kept)).code == 0
    assert kugetsu("log", "verify", "--from", str(kept)).code == 0
    again = kugetsu("log", "export", "--from", str(kept), KUGETSU_DIR=str(tmp_path / "nowhere"))
    assert again.raw == kept.read_bytes() == _log(kugetsu)
    assert [kugetsu("log", "export", "--otlp", *more).out for more in ((), ("--from", str(kept)))] == [
        kugetsu("log", "export", "--otlp").out
    ] * 2


def test_a_secret_is_taken_out_and_its_line_says_so(kugetsu, story):
    story.enqueue("use the token ghp_0123456789abcdefghijklmnopqrstuvwxyzAB please")
    story.enqueue("nothing to hide", issue="github.com/a/b#2")
    shown = kugetsu("log", "export")
    assert b"ghp_" in _log(kugetsu) and b"ghp_" not in shown.raw
    first, last = map(json.loads, shown.out.splitlines()[-2:])
    assert first["redacted"] is True and "redacted" not in last
    assert first["sha"] == json.loads(_log(kugetsu).splitlines()[-2])["sha"]
    assert shown.raw.splitlines()[-1] == _log(kugetsu).splitlines()[-1]
    assert "1 line without what looked like a secret (--raw has it)" in shown.err
    assert kugetsu("log", "export", "--raw").raw == _log(kugetsu)


def test_a_secret_of_the_env_files_is_taken_out(kugetsu, story):
    (kugetsu.root / "env").mkdir(exist_ok=True)
    env = kugetsu.root / "env" / "default.env"
    env.write_text("MY_TOKEN=correct-horse-battery\n")
    env.chmod(0o600)
    story.enqueue("the word is correct-horse-battery")
    assert b"correct-horse" not in kugetsu("log", "export").raw
    assert b"correct-horse" in kugetsu("log", "export", "--raw").raw


def test_only_what_was_asked_for_is_exported(kugetsu, worked):
    def seqs(*words):
        return [json.loads(line)["seq"] for line in kugetsu("log", "export", *words).out.splitlines()]

    everything = seqs()
    assert seqs("--since", "5", "--until", "9") == [5, 6, 7, 8, 9]
    assert seqs("--since", "@-2") == everything[-3:]
    late = seqs("--since", "2026-11-23T10:12:00Z")
    assert 0 < len(late) < len(everything) and late == everything[-len(late) :]
    assert seqs("--until", "2026-11-23T10:11:00Z") == everything[: -len(late)]
    assert {json.loads(line)["task"] for line in kugetsu("log", "export", "q2").out.splitlines()} == {"q2"}
    assert {json.loads(line)["issue"] for line in kugetsu("log", "export", ISSUE).out.splitlines()} == {ISSUE}
    assert {json.loads(line)["attempt"] for line in kugetsu("log", "export", "q1.2").out.splitlines()} == {"q1.2"}


def test_a_file_is_private_whole_and_never_overwritten_by_mistake(kugetsu, worked, tmp_path):
    kept = tmp_path / "night.jsonl"
    done = kugetsu("log", "export", "--to", str(kept), "--json")
    assert done.code == 0 and done.json["events"] == len(_log(kugetsu).splitlines()) == done.json["last"]
    assert kept.read_bytes() == _log(kugetsu) and stat.S_IMODE(kept.stat().st_mode) == 0o600
    refused = kugetsu("log", "export", "--to", str(kept), "--until", "3")
    assert refused.code == 5 and "--force" in refused.err and kept.read_bytes() == _log(kugetsu)
    assert kugetsu("log", "export", "--to", str(kept), "--until", "3", "--force").code == 0
    assert len(kept.read_bytes().splitlines()) == 3
    assert os.listdir(tmp_path).count("night.jsonl") == 1 and not list(tmp_path.glob("*.new"))


def test_a_damaged_log_leaves_no_file(kugetsu, worked, tmp_path):
    path = kugetsu.root / "log" / "00000000000000000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"it crashed", b"it clashed"))
    refused = kugetsu("log", "export", "--to", str(tmp_path / "night.jsonl"))
    assert refused.code == 6 and not list(tmp_path.glob("night*"))


def test_an_export_is_written_as_it_is_read(kugetsu, worked):
    """Through a pipe that is closed at once: nothing is gathered, and nobody is shown a traceback."""
    done = subprocess.run(
        ["sh", "-c", "python3 -m kugetsu log export | head -c 10"],
        env={**kugetsu.environment, "PATH": f"{os.path.dirname(os.sys.executable)}:{os.environ['PATH']}"},
        cwd=kugetsu.work,
        capture_output=True,
        check=False,
    )
    assert done.stdout == b'{"seq":1,"' and b"Traceback" not in done.stderr


def test_an_empty_log_has_no_lines(kugetsu):
    shown = kugetsu("log", "export")
    assert (shown.code, shown.out, shown.err) == (0, "", "0 events\n")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--jsonl", "--otlp"], 3),
        (["--to", "http://localhost:4318"], 3),
        (["--otlp", "--to", "ftp://localhost"], 3),
        (["--otlp", "--to", "http://me:secret@localhost"], 3),
        (["--otlp", "--to", "http://"], 3),
        (["--force"], 3),
        (["--to", "."], 3),
        (["--to", "no/where"], 3),
        (["--since", "soon"], 3),
        (["--since", "999"], 4),
        (["q99"], 4),
        (["--otlp", "q99"], 4),
        (["nonsense"], 3),
    ],
)
def test_what_cannot_be_exported_is_refused(kugetsu, worked, words, code):
    refused = kugetsu("log", "export", *words)
    assert refused.code == code and refused.out == "" and "hint: " in refused.err, refused
    assert "secret" not in refused.err


# --- OpenTelemetry --------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver():
    made = otlp.Receiver()
    yield made
    made.close()


def _by_name(spans):
    found = {}
    for span in spans:
        found.setdefault(span.name, []).append(span)
    return found


def _attributes(span):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def _nano(clock):
    hours, minutes, seconds = map(int, clock.split(":"))
    return (1_795_392_000 + 3600 * hours + 60 * minutes + seconds) * 10**9


def _check_spans(spans):
    """What every receiver must have got of `worked`."""
    names = _by_name(spans)
    assert names.keys() == {
        *("attempt q1.1", "attempt q1.2", "attempt q2.1"),
        *("queued", "starting", "preparing", "running", "stopping"),
    }
    (first,), (second,), (third,) = names["attempt q1.1"], names["attempt q1.2"], names["attempt q2.1"]
    assert len({first.trace_id, second.trace_id, third.trace_id}) == 3
    assert len({span.span_id for span in spans}) == len(spans)
    assert all(len(span.trace_id) == 16 and len(span.span_id) == 8 for span in spans)
    roots = {span.trace_id: span for span in (first, second, third)}
    for root in roots.values():
        assert root.parent_span_id == b""
    for span in names["queued"] + names["starting"] + names["running"] + names["stopping"]:
        assert span.parent_span_id == roots[span.trace_id].span_id
    starting = {span.span_id: span for span in names["starting"]}
    assert {starting[span.parent_span_id].trace_id for span in names["preparing"]} == {first.trace_id, third.trace_id}
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (_nano("10:00:05"), _nano("10:10:00"))
    waits = {span.trace_id: span for span in names["queued"]}
    assert waits[first.trace_id].start_time_unix_nano == _nano("10:00:02")
    assert waits[second.trace_id].start_time_unix_nano == _nano("10:10:00")
    assert _attributes(waits[second.trace_id])["kugetsu.wait.since"] == "task.retried"
    assert [link.span_id for link in second.links] == [first.span_id]
    assert (first.status.code, first.status.message) == (2, "it crashed")
    assert (second.status.code, third.status.code) == (1, 0), "what somebody cancelled is no failure"
    assert [event.name for event in third.events] == ["attempt.stop_requested"]
    said = _attributes(second)
    wanted = {
        "kugetsu.issue": ISSUE,
        "kugetsu.task.id": "q1",
        "kugetsu.attempt.number": 2,
        "kugetsu.slot": 1,
        "kugetsu.tokens": 4000,
        "kugetsu.cost": 0.5,
        "kugetsu.commits": 2,
        "kugetsu.pushed": True,
        "process.exit.code": 0,
        "vcs.change.id": "3",
        "vcs.ref.head.name": "fix/issue-14",
        "gen_ai.conversation.id": "ses_9f3bc0ffee1234",
    }
    assert wanted.items() <= said.items()


def test_traces_go_by_the_proxy_of_the_environment(kugetsu, worked, receiver):
    with serving(Proxy(int(receiver.url.rpartition(":")[2]))) as proxy:
        sent = kugetsu("log", "export", "--otlp", "--to", "http://otlp.test", "--json", http_proxy=proxy.url)
        assert sent.code == 0, sent
        assert sent.json["spans"] == len(receiver.spans())
        assert set(proxy.asked) == {"POST http://otlp.test/v1/traces"}


def test_attempts_reach_a_receiver_as_traces(kugetsu, worked, receiver):
    sent = kugetsu("log", "export", "--otlp", "--to", receiver.url, "--json")
    assert sent.code == 0 and sent.json["attempts"] == 3 and sent.json["live"] == ["q3.1"], sent
    assert sent.json["spans"] == len(receiver.spans()) and sent.json["to"] == f"{receiver.url}/v1/traces"
    _check_spans(receiver.spans())
    (resource,) = receiver.resources()
    assert (resource["service.name"], resource["service.instance.id"], resource["host.name"]) == (
        *("kugetsu", "c858e013f367"),
        "desk",
    )


def test_a_second_export_adds_nothing(kugetsu, worked, receiver):
    for _ in range(2):
        assert kugetsu("log", "export", "--otlp", "--to", receiver.url).code == 0
    first, second = (one.SerializeToString(deterministic=True) for one in receiver.requests)
    assert first == second
    worked.at("10:40:00").finish("q3.1", "succeed", "done", "done", exit=0)
    kugetsu("log", "export", "--otlp", "--to", receiver.url)
    before = {span.span_id: span for span in receiver.requests[0].resource_spans[0].scope_spans[0].spans}
    after = {span.span_id: span for span in receiver.requests[2].resource_spans[0].scope_spans[0].spans}
    assert before.items() <= after.items(), "what was exported before has changed"
    new = {span.name for span_id, span in after.items() if span_id not in before}
    assert new == {"attempt q3.1", "queued", "starting", "preparing", "running"}


def test_a_real_collector_takes_them_and_hands_on_the_same(kugetsu, worked, receiver, tmp_path):
    program = otlp.collector_program()
    if program is None:
        pytest.skip("no collector here: pip install rotel")
    collector = otlp.Collector(program, tmp_path, receiver)
    try:
        for _ in range(2):
            sent = kugetsu("log", "export", "--otlp", "--to", collector.url, "--json")
            assert sent.code == 0 and sent.json["rejected"] == 0, sent
        deadline = time.monotonic() + 30
        while len(receiver.spans()) < 2 * sent.json["spans"] and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        collector.close()
    spans = receiver.spans()
    first, second = spans[: len(spans) // 2], spans[len(spans) // 2 :]
    _check_spans(first)
    assert sorted(map(repr, first)) == sorted(map(repr, second))


def test_json_and_protobuf_say_the_same(kugetsu, worked, receiver):
    kugetsu("log", "export", "--otlp", "--to", receiver.url)
    written = [otlp.of_json(json.loads(line)) for line in kugetsu("log", "export", "--otlp").out.splitlines()]
    spans = [
        span for one in written for part in one.resource_spans for scope in part.scope_spans for span in scope.spans
    ]
    assert len(written) == 3 and spans == receiver.spans()
    assert written[0].resource_spans[0].resource == receiver.requests[0].resource_spans[0].resource


def test_json_has_ids_in_hex_and_large_numbers_as_text(kugetsu, worked, tmp_path):
    kept = tmp_path / "traces.jsonl"
    assert kugetsu("log", "export", "--otlp", "--to", str(kept)).code == 0
    for line in kept.read_text().splitlines():
        for span in json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            assert re.fullmatch("[0-9a-f]{32}", span["traceId"]) and re.fullmatch("[0-9a-f]{16}", span["spanId"])
            assert isinstance(span["startTimeUnixNano"], str) and isinstance(span["kind"], int)


def test_only_the_attempts_that_were_asked_for_are_exported(kugetsu, worked):
    def names(*words):
        lines = kugetsu("log", "export", "--otlp", *words).out.splitlines()
        return [json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] for line in lines]

    assert names("q1") == ["attempt q1.1", "attempt q1.2"]
    assert names("q1.2") == ["attempt q1.2"]
    assert names("--since", "2026-11-23T10:20:00Z") == ["attempt q1.2", "attempt q2.1"]
    assert names("--until", "2026-11-23T10:20:00Z") == ["attempt q1.1"]
    whole = kugetsu("log", "export", "--otlp").out.splitlines()
    assert kugetsu("log", "export", "--otlp", "q1.2").out.splitlines() == whole[1:2]


def test_a_receiver_that_is_busy_is_tried_again_after_the_time_that_it_asks(kugetsu, worked, receiver):
    receiver.answers = [(429, {"Retry-After": "1"}, b""), (503, {"Retry-After": "1"}, b"")]
    sent = kugetsu("log", "export", "--otlp", "--to", f"{receiver.url}/v1/traces")
    assert sent.code == 0 and len(receiver.headers) == 3 and len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("status", "hint"), [(400, "OTLP/HTTP receiver"), (401, "OTEL_EXPORTER_OTLP_HEADERS"), (500, "try again later")]
)
def test_a_receiver_that_refuses_is_told_of_and_not_asked_twice(kugetsu, worked, receiver, status, hint):
    receiver.answers = [(status, {}, b"no")] * 9
    refused = kugetsu("log", "export", "--otlp", "--to", receiver.url)
    assert refused.code == 1 and f"answered {status}" in refused.err and hint in refused.err
    assert len(receiver.headers) == 1


def test_a_receiver_that_takes_a_part_is_told_of(kugetsu, worked, receiver):
    receiver.answers = [(200, {}, otlp.partial(2, "too old"))]
    sent = kugetsu("log", "export", "--otlp", "--to", receiver.url)
    assert sent.code == 1 and "rejected 2 spans: too old" in sent.err


def test_nobody_listening_is_told_at_once(kugetsu, worked):
    refused = kugetsu("log", "export", "--otlp", "--to", "http://127.0.0.1:9")
    assert refused.code == 1 and "the connection was refused" in refused.err and "Traceback" not in refused.err


def test_a_web_server_that_says_yes_to_everything_is_told_of(kugetsu, worked, receiver):
    receiver.answers = [(200, {"Content-Type": "text/plain"}, b"hello")] * 2
    sent = kugetsu("log", "export", "--otlp", "--to", receiver.url)
    assert sent.code == 0 and "did not answer as an OTLP receiver" in sent.err
    assert kugetsu("log", "export", "--otlp", "--to", receiver.url, "--json").json["understood"] is False
    taken = kugetsu("log", "export", "--otlp", "--to", receiver.url, "--json")
    assert (taken.json["understood"], taken.err) == (True, "")


def test_headers_come_from_the_env_file_and_are_never_shown(kugetsu, worked, receiver):
    (kugetsu.root / "env").mkdir(exist_ok=True)
    env = kugetsu.root / "env" / "notify.env"
    env.write_text("OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20sesame-open-up,x-scope=night\n")
    env.chmod(0o600)
    sent = kugetsu("log", "export", "--otlp", "--to", receiver.url)
    assert sent.code == 0 and "sesame" not in sent.out + sent.err
    assert receiver.headers[0]["authorization"] == "Bearer sesame-open-up" and receiver.headers[0]["x-scope"] == "night"
    env.write_text("OTEL_EXPORTER_OTLP_HEADERS=sesame\n")
    refused = kugetsu("log", "export", "--otlp", "--to", receiver.url)
    assert refused.code == 3 and "sesame" not in refused.err


def test_without_the_package_it_says_what_to_install(kugetsu, worked, receiver, tmp_path):
    for package in ("opentelemetry", "google"):
        hidden = tmp_path / "hidden" / package
        hidden.mkdir(parents=True)
        (hidden / "__init__.py").write_text(f"raise ImportError('hidden', name={package!r})\n")
    path = f"{tmp_path / 'hidden'}:{kugetsu.environment['PYTHONPATH']}"
    refused = kugetsu("log", "export", "--otlp", "--to", receiver.url, PYTHONPATH=path)
    assert refused.code == 1 and 'pip install "kugetsu[otlp]"' in refused.err
    assert kugetsu("log", "export", "--otlp", PYTHONPATH=path).code == 0, "OTLP/JSON needs no package"


def test_many_attempts_go_in_bounded_requests(kugetsu, story, receiver):
    from kugetsu.runtime.otlp.sending import BATCH

    for number in range(1, 151):
        story.enqueue("go", issue=f"github.com/a/b#{number}")
        story.finish(story.run(f"q{number}"), "succeed", "done", "done", exit=0)
    sent = kugetsu("log", "export", "--otlp", "--to", receiver.url, "--json").json
    assert sent["attempts"] == 150 and sent["requests"] == len(receiver.requests) == 2
    sizes = [sum(len(s.spans) for r in one.resource_spans for s in r.scope_spans) for one in receiver.requests]
    assert sum(sizes) == sent["spans"] > BATCH and max(sizes) < BATCH + 10


def test_secrets_in_reasons_are_taken_out(kugetsu, story):
    story.enqueue("use ghp_0123456789abcdefghijklmnopqrstuvwxyzAB")
    attempt = story.run("q1")
    story.do(lambda state: attempts.stop(state, attempt, "timeout"))
    story.finish(attempt, "fail", "retry", "said ghp_0123456789abcdefghijklmnopqrstuvwxyzAB")
    assert "ghp_" not in kugetsu("log", "export", "--otlp").out
    assert "ghp_" in kugetsu("log", "export", "--otlp", "--raw").out


def test_what_is_shown_of_a_trace(kugetsu, worked, snapshot):
    (line,) = kugetsu("log", "export", "--otlp", "q1.2").out.splitlines()
    snapshot("otlp", json.dumps(json.loads(line), indent=1) + "\n")


def test_what_is_documented_is_what_json_prints(kugetsu, worked, receiver, tmp_path):
    from cli.test_json_shapes import compare, documented

    for words in (
        ["--to", str(tmp_path / "a")],
        ["--otlp", "--to", str(tmp_path / "b")],
        ["--otlp", "--to", receiver.url],
    ):
        compare(kugetsu("log", "export", *words, "--json").json, documented("log export"))


def test_the_help_fits(kugetsu, fits):
    for verb in ("export", "seal", "verify"):
        shown = kugetsu("log", verb, "--help")
        assert shown.code == 0 and fits(shown.out)
