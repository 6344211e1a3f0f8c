"""`kugetsu intake`: look at labelled issues now, queue what is to be queued, and say why not the others."""

from __future__ import annotations

from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.cli.queue import warn_without_daemon
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.runtime.forges import Forges, one_line
from kugetsu.runtime.intake import looking, places
from kugetsu.runtime.intake.looking import Outcome
from kugetsu.runtime.intake.reading import Place
from kugetsu.runtime.query import subjects
from kugetsu.views import intake as words
from kugetsu.views import intake_look as view


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("repositories", nargs="*", metavar="REPO", completes="repository", help="only of these")
    parser.add_argument("--dry-run", action="store_true", help="queue nothing: only show what would be queued")


def _intake(call: Call) -> int:
    ws, dry = call.workspace, call.args.dry_run
    state = call.ready()
    labels = _chosen(call)
    forges, rows = Forges(ws), []
    problems: list[tuple[str, KugetsuError]] = []
    # Of a shared log the label may be in another host's settings: only its observer tells that it was taken out.
    if not dry and not call.args.repositories and not state.hosts:
        rows += [_row(outcome) for outcome in looking.switched_off(ws, labels)]
    for repository, label in labels.items():
        for outcome in looking.look(ws, Place(repository, label), forges, dry=dry):
            if outcome.issue is None and outcome.problem is not None:
                problems.append((repository, outcome.problem))
            elif outcome.code is not None or outcome.problem is not None:
                rows.append(_row(outcome))
    told = [{"repository": name, "problem": one_line(problem), "remedy": problem.hint} for name, problem in problems]
    data = {"dry_run": dry, "repositories": list(labels), "issues": rows, "problems": told}
    seen = len(labels) - len(problems)
    none = ["no open issue has the label"] if seen or not problems else []
    call.show(data, view.table_of(rows, call.screen, dry=dry) if rows else none)
    if not call.json:
        call.note(view.summary(rows, seen, dry=dry), *view.remedies(rows))
        for one in told:
            call.note(f"{one['repository']} was not looked at: {one['problem']}", *filter(None, [one["remedy"]]))
    if any(row["queued"] for row in rows) and not dry:
        warn_without_daemon(call)
    return problems[0][1].exit_code if problems else 0


def _chosen(call: Call) -> dict[str, str]:
    """The repositories to look at, with their labels. Raises BadInput for none, and for one without a label."""
    ws = call.workspace
    labels = places.labels(ws, call.state())
    named = [subjects.repository(ws, text) for text in call.args.repositories]
    for repository in named:
        label = ws.config_of(repository).text("INTAKE_LABEL")
        if repository.startswith("local/"):
            raise BadInput(f"{repository} is a folder: it has no issues", "name a repository of a git server")
        if not label:
            mend = f"kugetsu config set --repo {repository} INTAKE_LABEL kugetsu"
            raise BadInput(f"{repository} has no INTAKE_LABEL: no label queues its issues", mend)
        labels[repository] = label
    if not labels and not call.state().intake:
        raise BadInput("no repository has an INTAKE_LABEL", "kugetsu config set --repo owner/repo INTAKE_LABEL kugetsu")
    return {name: labels[name] for name in named or labels}


def _row(outcome: Outcome) -> dict[str, Any]:
    problem = outcome.problem
    code, values = outcome.code, outcome.values
    fixes = words.remedy(code, values, outcome.issue or "") if code is not None and not outcome.gone else None
    return {
        "issue": outcome.issue,
        "title": " ".join(outcome.title.split()),
        "code": code,
        "values": values,
        "queued": outcome.fresh,
        "task": values.get("task"),
        "gone": outcome.gone,
        "problem": one_line(problem) if problem is not None else None,
        "remedy": problem.hint if problem is not None else fixes,
        "seq": outcome.events[0]["seq"] if outcome.events else None,
    }


COMMANDS = {
    "intake": Command(
        "[--dry-run] [REPO…] [--json]",
        "Looks once at the open issues with the INTAKE_LABEL of their repository, as the daemon does every\n"
        "INTAKE_INTERVAL_MINUTES, and queues a task for each that has none; says why not the others. The label is the\n"
        "permission: it must be set by an account with triage right or of INTAKE_LABELLERS, and the text must not be\n"
        "edited by another account afterwards. Each time that it is set it queues one task at most.\n"
        "REPO is host/owner/repo, owner/repo on the default server, or . inside a clone; without it, all with a label.",
        _arguments,
        _intake,
        json="""\
dry_run                whether nothing was queued
repositories[]         those that were looked at
issues[].issue         host/owner/repo#N
issues[].title         its title
issues[].code          what follows, a word; null with a problem
issues[].values        what the code is about
issues[].queued        whether it was queued now (with dry_run: would be)
issues[].task          its task, or null
issues[].gone          whether it asks for work no longer
issues[].problem       why it cannot be read, or null
issues[].remedy        what a person can do, or null
issues[].seq           the event that records it, or null if nothing changed
problems[].repository  what could not be looked at
problems[].problem     why
problems[].remedy      what helps, or null""",
        examples="kugetsu intake --dry-run\nkugetsu intake owner/project",
        exits=(4,),
    ),
}
