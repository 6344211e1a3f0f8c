"""`kugetsu replay --what-if KEY=VALUE …`: the queue's history simulated under other settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kugetsu.cli.call import Call
from kugetsu.domain.simulation.comparison import compare, queued_between, record
from kugetsu.domain.simulation.overrides import Changes
from kugetsu.domain.simulation.scenario import Scenario
from kugetsu.log.protocol import EventLog
from kugetsu.model import settings
from kugetsu.model.errors import BadInput, NotFound
from kugetsu.model.refs import parse_ref
from kugetsu.runtime.query import subjects, timespec
from kugetsu.views import what_if

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.views.what_if import ChangeData

about = """\
--what-if KEY=VALUE simulates the queue's history with another value: tasks arrive when they arrived, attempts do what
they did, and the rules of this version make every decision again. It prints waits, makespan and slot use next to the
real ones, and its assumptions. KEY is one of

  MAX_CONCURRENT_AGENTS, MAX_AGENTS_PER_REPOSITORY, REPOSITORY_CAPS,
  MAX_ATTEMPTS, RETRY_BACKOFF_SECONDS, TASK_TIMEOUT_HOURS,
  USAGE_LIMIT_PAUSE_MINUTES, MAX_RUNS_WITHOUT_PROGRESS, ISSUE_MAX_TOKENS,
  ISSUE_MAX_COST, MIN_FREE_MEMORY_MB, MIN_FREE_DISK_MB,
  priority:TASK (priority:q7=5), priority:ISSUE (priority:owner/repo#14=5)

or KEY@REPO, its value for one repository alone (MAX_ATTEMPTS@owner/repo=1; REPO as config --repo takes it), of

  MAX_AGENTS_PER_REPOSITORY, MAX_ATTEMPTS, TASK_TIMEOUT_HOURS,
  MAX_RUNS_WITHOUT_PROGRESS, ISSUE_MAX_TOKENS, ISSUE_MAX_COST

--since and --until measure the tasks that were queued between two points; the change holds from --since on."""

#: The JSON reference of `--what-if`.
JSON = """\
With --what-if:

changes[].key             what was changed
changes[].value           its new value
changes[].recorded        its value at the end of the record, or null
since                     the time (UTC) that --since names, or null
until                     the time (UTC) that --until names, or null
tasks                     number of tasks measured
open                      how many of them were unfinished when the record ends
real.waits                number of waits for a first claim; a task that never starts waits until the end
real.wait_p50             seconds from queued to first claim: the median
real.wait_p95             the 95th percentile (nearest rank)
real.wait_max             the longest
real.waiting_total        seconds of all waits, including those between attempts
real.makespan             seconds from the first arrival to the last end
real.slot_use             share of the slot-time that was used, from 0 to 1
real.attempts             number of attempts
real.retries              number of retries
real.parks                number of parks
real.completed            tasks
real.error                tasks
real.cancelled            tasks
real.unfinished           tasks
real.tokens               used by all attempts
real.cost                 of all attempts
simulated.*               the same keys as in real
moved[].task              the five tasks whose wait changed most
moved[].issue             host/owner/repo#N, or null
moved[].real              seconds, or null if it never started
moved[].simulated         seconds, or null if it never starts
moved_in_all              number of waits that changed
assumptions[]             the assumptions, as sentences
check.same_order          whether, with nothing changed, the simulation claims in the recorded order
check.off                 the largest difference of a wait in that check, in seconds"""

EXAMPLES = """\
kugetsu replay --what-if MAX_CONCURRENT_AGENTS=5  # would two more slots have helped?
kugetsu replay --what-if priority:q7=5 --what-if RETRY_BACKOFF_SECONDS=60"""

PRIORITY = "priority:"
#: Between a setting and the repository that is to have a value of its own.
OF = "@"
#: The limits of a priority, as everywhere.
LOWEST, HIGHEST = -1000, 1000


def _claim(fact: str) -> Callable[[Changes, Any], None]:
    def change(changes: Changes, value: Any) -> None:
        changes.claim[fact] = value

    return change


def _outcome(fact: str, factor: float = 1.0) -> Callable[[Changes, Any], None]:
    def change(changes: Changes, value: Any) -> None:
        changes.outcome[fact] = value * factor

    return change


def _attempts(changes: Changes, value: Any) -> None:
    changes.claim["max_attempts"] = changes.outcome["max_attempts"] = value


def _timeout(changes: Changes, value: Any) -> None:
    changes.timeout_seconds = value * 3600


def _per_repository(changes: Changes, value: Any) -> None:
    changes.other_cap = value


def _caps(changes: Changes, value: Any) -> None:
    changes.named_caps = {name: int(cap) for name, cap in value.items()}


#: Settings that affect the queue, and how.
CHANGEABLE: dict[str, Callable[[Changes, Any], None]] = {
    "MAX_CONCURRENT_AGENTS": _claim("cap"),
    "MAX_AGENTS_PER_REPOSITORY": _per_repository,
    "REPOSITORY_CAPS": _caps,
    "MAX_ATTEMPTS": _attempts,
    "RETRY_BACKOFF_SECONDS": _outcome("backoff_seconds"),
    "TASK_TIMEOUT_HOURS": _timeout,
    "USAGE_LIMIT_PAUSE_MINUTES": _outcome("pause_seconds", 60.0),
    "MAX_RUNS_WITHOUT_PROGRESS": _claim("max_runs_without_progress"),
    "ISSUE_MAX_TOKENS": _claim("issue_max_tokens"),
    "ISSUE_MAX_COST": _claim("issue_max_cost"),
    "MIN_FREE_MEMORY_MB": _claim("min_free_memory_mb"),
    "MIN_FREE_DISK_MB": _claim("min_free_disk_mb"),
}

#: Those that a repository may have of its own, and the fact (`facts.RepositoryFacts`) that each is.
OWN = {
    "MAX_AGENTS_PER_REPOSITORY": "max_agents",
    "MAX_ATTEMPTS": "max_attempts",
    "TASK_TIMEOUT_HOURS": "timeout_hours",
    "MAX_RUNS_WITHOUT_PROGRESS": "max_runs_without_progress",
    "ISSUE_MAX_TOKENS": "issue_max_tokens",
    "ISSUE_MAX_COST": "issue_max_cost",
}


def run(call: Call, given: Sequence[str]) -> int:
    """Run `replay --what-if`. Raises BadInput for what cannot be changed, NotFound if there is nothing to simulate."""
    pairs = _pairs(call, given)
    changes = _changes(call, pairs)
    log = call.workspace.log
    since = _time(call, log, getattr(call.args, "since", None))
    until = _time(call, log, getattr(call.args, "until", None))
    if since is not None and until is not None and until < since:
        raise BadInput("--until is before --since", "give the earlier one to --since")
    scenario = _scenario(log, since)
    _require_tasks(scenario, changes)
    tasks = queued_between(scenario, since, until)
    if not tasks:
        raise NotFound("no task was queued in that time", "kugetsu history --all shows when tasks were queued")
    found = compare(scenario, changes, tasks)
    data = what_if.collect(found, _change_data(scenario, pairs), since, until)
    call.show(data, [] if call.json else what_if.lines(data, call.screen))
    return 0


# --- the changes ----------------------------------------------------------------------------------------------------


def _pairs(call: Call, given: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        key, mark, value = text.strip().rpartition("=") if text.startswith(PRIORITY) else text.strip().partition("=")
        key = key.strip()
        if not mark or not key:
            example = "kugetsu replay --what-if MAX_CONCURRENT_AGENTS=5"
            raise BadInput(f"not KEY=VALUE: {settings.shown(text)}", example)
        key = _whole(call, key)
        if key in pairs:
            raise BadInput(f"{key} is given twice", "one value for each key")
        pairs[key] = value.strip()
    return pairs


def _whole(call: Call, key: str) -> str:
    """The key with the whole name of its repository, if it has one. Raises BadInput."""
    name, mark, place = key.partition(OF)
    if not mark or key.startswith(PRIORITY):
        return key
    if name in CHANGEABLE and name not in OWN:
        raise BadInput(f"{name} cannot be simulated for one repository alone", f"of REPO are {', '.join(OWN)}")
    return f"{name}{OF}{subjects.repository_of(call.workspace.config, place)}"


def _changes(call: Call, pairs: dict[str, str]) -> Changes:
    changes = Changes()
    for whole, text in pairs.items():
        if whole.startswith(PRIORITY):
            changes.priorities[_subject(call, whole)] = _priority(whole, text)
            continue
        key, _, repository = whole.partition(OF)
        setting = settings.SETTINGS.get(key)
        if setting is None:
            raise BadInput(_about_unknown(key), _takes())
        if key not in CHANGEABLE:
            raise BadInput(f"{key} does not affect the queue", _takes())
        try:
            value = setting.read(text)
        except ValueError as problem:
            raise BadInput(f"{whole}={settings.shown(text)}: {problem}", setting.help) from problem
        if repository:
            changes.own.setdefault(repository, {})[OWN[key]] = value
        else:
            CHANGEABLE[key](changes, value)
    return changes


def _about_unknown(key: str) -> str:
    import difflib

    near = difflib.get_close_matches(key.upper()[:64], list(CHANGEABLE), 1, 0.5)
    if near:
        return f"{settings.shown(key)} is not a setting; did you mean {near[0]}?"
    return settings.about_unknown(key)


def _takes() -> str:
    return f"--what-if takes {', '.join(CHANGEABLE)} and {PRIORITY}TASK; {OF}REPO after a key for one repository"


def _subject(call: Call, key: str) -> str:
    """The task or issue whose priority is changed."""
    name = key.removeprefix(PRIORITY)
    if name[:1] == "q" and name[1:].isdigit():
        return name
    config = call.workspace.config
    return str(parse_ref(name, default_host=config.default_host(), servers=config.servers()))


def _priority(key: str, text: str) -> int:
    digits = text[1:] if text[:1] in "+-" else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6 and LOWEST <= int(text) <= HIGHEST):
        raise BadInput(f"{key}={settings.shown(text)}: not a valid priority", f"a number from {LOWEST} to {HIGHEST}")
    return int(text)


# --- the record -----------------------------------------------------------------------------------------------------


def _time(call: Call, log: EventLog, text: str | None) -> str | None:
    """The time of a point; None for now or without one."""
    if text is None or text == "@":
        return None

    seq, at = timespec.resolve(log, timespec.parse(text, call.screen.now))
    if seq is None:
        return at
    return next((str(event["at"]) for event in log.read(max(seq - 1, 0), max(seq, 1))), None)


def _scenario(log: EventLog, since: str | None) -> Scenario:
    first = next(iter(log.read(0, 1)), None)
    if first is None:
        if log.head().seq:
            raise BadInput(
                "the log's beginning is missing, and later events depend on it",
                "use a bundle or an export of the whole log: kugetsu doctor --bundle FILE",
            )
        raise NotFound("the log is empty: nothing to simulate", "kugetsu init")

    def read() -> Iterable[dict[str, Any]]:
        return log.read(0)

    scenario = record(read, since)
    if scenario is None:
        raise NotFound("no agent was ever started: nothing to simulate", "kugetsu queue list")
    if not any(past.ended is not None for past in scenario.attempts()):
        raise NotFound("no attempt has ended yet: durations are unknown", "kugetsu status")
    return scenario


def _require_tasks(scenario: Scenario, changes: Changes) -> None:
    tasks = scenario.tally.tasks
    issues = {counts.issue for counts in tasks.values()}
    for subject in changes.priorities:
        if subject not in tasks and subject not in issues:
            raise NotFound(f"no task {'of ' if '#' in subject else ''}{subject} in the record", "kugetsu history --all")
    repositories = {issue.rpartition("#")[0] for issue in issues if issue is not None}
    for name in changes.own:
        if name not in repositories:
            raise NotFound(f"no task of {name} in the record", "kugetsu history --all")


def _change_data(scenario: Scenario, pairs: dict[str, str]) -> list[ChangeData]:
    return [{"key": key, "value": value, "recorded": _recorded(scenario, key)} for key, value in pairs.items()]


def _recorded(scenario: Scenario, key: str) -> str | None:
    """The value that the last decision of the record read; None if decisions do not record it."""
    claim = scenario.steps[-1][2] if scenario.steps else scenario.known
    key, _, repository = key.partition(OF)
    own = (claim.get("repositories") or {}).get(repository, {}).get(OWN[key]) if repository else None
    if own is not None:
        return f"{own:g}" if isinstance(own, float) else str(own)
    outcome = max((past for past in scenario.attempts() if past.facts), key=lambda past: past.seqs[2], default=None)
    ended = outcome.facts if outcome is not None else {}
    caps = claim.get("repository_caps")
    if key == "REPOSITORY_CAPS":
        return " ".join(f"{name}={cap}" for name, cap in caps.items() if name != "*") or None if caps else None
    values: dict[str, Any] = {
        "MAX_CONCURRENT_AGENTS": claim.get("cap"),
        "MAX_AGENTS_PER_REPOSITORY": (caps or {}).get("*", 0) if caps is not None else None,
        # The latest outcome may be of a repository that has a value of its own.
        "MAX_ATTEMPTS": ({} if "repositories" in claim else ended).get("max_attempts", claim.get("max_attempts")),
        "RETRY_BACKOFF_SECONDS": ended.get("backoff_seconds"),
        "USAGE_LIMIT_PAUSE_MINUTES": ended["pause_seconds"] / 60 if "pause_seconds" in ended else None,
        "MAX_RUNS_WITHOUT_PROGRESS": claim.get("max_runs_without_progress"),
        "ISSUE_MAX_TOKENS": claim.get("issue_max_tokens"),
        "ISSUE_MAX_COST": claim.get("issue_max_cost"),
        "MIN_FREE_MEMORY_MB": claim.get("min_free_memory_mb"),
        "MIN_FREE_DISK_MB": claim.get("min_free_disk_mb"),
    }
    value = values.get(key)
    if value is None:
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)
