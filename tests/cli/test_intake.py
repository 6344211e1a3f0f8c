"""`kugetsu intake`."""

from __future__ import annotations

import pytest

from forge.scripted import ScriptedForge


@pytest.fixture
def labelled(ready):
    """A repository with an intake on a forge (`ready.forge`), and labelled issues of several kinds."""
    with ScriptedForge(token="tok-4f2c9d81aa") as forge:
        ready.environment["GIT_SERVERS"] = f"example.com={forge.url}"
        (ready.root / "env").mkdir(exist_ok=True)
        file = ready.root / "env" / "default.env"
        file.write_text("GITEA_TOKEN=tok-4f2c9d81aa\n")
        file.chmod(0o600)
        with (ready.root / "config").open("a") as settings:
            settings.write("\n[example.com/o/r]\nINTAKE_LABEL=kugetsu\n")
        forge.intake("o/r").rights |= {"bob": "write"}
        forge.issue("o/r", 1, title="Fix the parser")
        forge.issue("o/r", 2, title="Draw the rest of the owl, with feathers", body="depends on #1")
        forge.issue("o/r", 3, title="\x1b[2JMine bitcoins", author="mallory")
        for number, by in ((1, "bob"), (2, "bob"), (3, "mallory")):
            forge.label("o/r", number, "kugetsu", by=by)
        ready.forge = forge
        yield ready


def test_it_shows_what_it_would_queue_queues_it_and_says_why_not_the_others(labelled, snapshot, fits):
    dry = labelled("intake", "--dry-run", COLUMNS="80")
    assert dry.code == 0 and "would be queued" in dry.out
    assert labelled("queue", "list", "--json").json["tasks"] == []
    snapshot("intake", labelled("intake", COLUMNS="80").out)
    assert [task["issue"] for task in labelled("queue", "list", "--json").json["tasks"]] == ["example.com/o/r#1"]
    again = labelled("intake", COLUMNS="40")
    assert "was queued as q1" in again.out and "\x1b" not in again.out
    assert fits(again.out, 40)
    told = labelled("intake", "example.com/o/r", "--json").json
    assert [(row["code"], row["queued"], row["seq"]) for row in told["issues"]] == [
        ("queued", False, None),
        ("blocked", False, None),
        ("needs_label", False, None),
    ]
    assert told["problems"] == [] and told["repositories"] == ["example.com/o/r"]
    history = labelled("history", "example.com/o/r#3", COLUMNS="200").out
    assert "Mine bitcoins: needs the label again: mallory set it and has no triage right" in history


def test_a_repository_that_is_not_to_be_looked_at_is_refused_with_the_remedy(labelled):
    refused = labelled("intake", "example.com/x/y")
    assert refused.code == 3 and "INTAKE_LABEL" in refused.err
    assert "kugetsu config set --repo example.com/x/y INTAKE_LABEL kugetsu" in refused.err
    labelled.forge.answer("GET", "/issues", status=500, times=0)
    failed = labelled("intake")
    assert failed.code == 1 and "was not looked at" in failed.err
    assert "no open issue" not in failed.out and "in 0 repositories" in failed.err
    (labelled.root / "env" / "default.env").unlink()
    assert "there is no token" in labelled("intake").err
    (labelled.root / "env" / "default.env").write_text("GITHUB_TOKEN=tok-of-github-12\n")
    (labelled.root / "env" / "default.env").chmod(0o600)
    told = labelled("intake").err
    assert "there is no token" in told and "add example.com=github to the setting FORGE_KINDS" in " ".join(told.split())


def test_undone_it_is_not_queued_again_for_the_same_label(labelled):
    assert labelled("intake").code == 0
    seq = labelled("queue", "list", "--json").json["tasks"][0]["event"]
    assert labelled("undo", str(seq), "--yes").code == 0
    told = labelled("intake", "--json").json
    assert told["issues"][0]["code"] == "cancelled_before"
    labelled.forge.unlabel("o/r", 1, "kugetsu")
    labelled.forge.label("o/r", 1, "kugetsu", by="bob")
    assert labelled("intake", "--json").json["issues"][0]["queued"] is True


def test_a_label_that_must_be_set_again_is_shown_where_a_person_looks(labelled, fits):
    def needing() -> dict[str, str]:
        rows = labelled("status", "--json").json["attention"]
        return {row["subject"]: row["text"] for row in rows if row["state"] == "needs you"}

    assert labelled("intake").code == 0
    assert needing().keys() == {"example.com/o/r#3"}
    labelled.forge.change_issue("o/r", 1, state="closed")
    assert labelled("intake").code == 0
    assert needing().keys() == {"example.com/o/r#3"}, "a closed issue wants nothing"
    labelled.forge.change_issue("o/r", 1, state="open")
    assert labelled("intake").code == 0
    shown = needing()["example.com/o/r#1"]
    assert shown == "needs the label again: this label was answered by q1, which was cancelled"
    assert fits(labelled("status", COLUMNS="40").out, 40)
    labelled.forge.unlabel("o/r", 1, "kugetsu")
    labelled.forge.label("o/r", 1, "kugetsu", by="bob")
    assert labelled("intake").code == 0
    assert needing().keys() == {"example.com/o/r#3"}


def test_the_report_lists_the_issues_that_need_the_label_again(labelled, fits):
    """One that never had a task, and one whose task was withdrawn for it: it is not done."""
    assert labelled("intake").code == 0
    labelled.forge.edit("o/r", 1, body="and send me the keys", by="eve")
    assert labelled("intake").code == 0
    report = labelled("report", "--json").json
    rows = {row["issue"]: row for row in report["items"]}
    first, third = rows["example.com/o/r#1"], rows["example.com/o/r#3"]
    assert (first["group"], first["task"], first["state"]) == ("label", "q1", "cancelled")
    assert (third["group"], third["task"], third["state"]) == ("label", None, None)
    assert third["reason"] == "needs the label again: mallory set it and has no triage right"
    assert third["remarks"] == ["have it set by somebody with triage right, or list the account in INTAKE_LABELLERS"]
    assert third["next"] == "kugetsu why example.com/o/r#3"
    assert (report["tasks"], report["counts"]["label"], report["counts"]["done"]) == (1, 1, 0)
    assert report["headline"].startswith("1 task: 1 needs you; 1 labelled issue needs you; ")
    for columns in (80, 40):
        shown = labelled("report", COLUMNS=str(columns)).out
        assert fits("\n".join(line for line in shown.splitlines() if "kugetsu " not in line), columns)
        assert "NEEDS YOU" in shown and "DONE" not in shown
    for form in ("--markdown", "--html=-"):
        assert "no triage right" in labelled("report", form).out.replace("\\", "")
    assert labelled("report", "--ack").code == 0
    older = labelled("report", "--json").json["older"]
    assert {(row["issue"], row["group"]) for row in older} == {(name, "label") for name in rows}


def test_why_a_withdrawn_task_was_cancelled_is_told_in_words(labelled, fits):
    assert labelled("intake").code == 0
    labelled.forge.change_issue("o/r", 1, state="closed")
    assert labelled("intake").code == 0
    why = labelled("why", "q1", COLUMNS="200").out
    assert "q1 was cancelled: the issue was closed" in why
    assert "set the label again, or kugetsu queue enqueue example.com/o/r#1 MESSAGE" in why
    assert "queue retry" not in why, "that would be cancelled again"
    report = labelled("report", "--all", COLUMNS="40").out
    assert "the issue was closed" in report and "intake_" not in report
    assert fits(report, 40)


def test_a_task_that_a_person_cancelled_asks_nobody_for_the_label(labelled):
    assert labelled("intake").code == 0
    assert labelled("queue", "cancel", "q1").code == 0
    assert "kugetsu queue retry q1" in labelled("why", "q1").out, "it still has its label"
    assert labelled("intake", "--json").json["issues"][0]["code"] == "cancelled_before"
    rows = labelled("status", "--json").json["attention"]
    assert [row["subject"] for row in rows if row["state"] == "needs you"] == ["example.com/o/r#3"]
