"""What happens in each fixture."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from log_fixtures.place import CHECKOUT, ROOT, Place
from log_fixtures.upgrade import upgrade
from scripted_model.isolation import isolate
from scripted_model.server import ScriptedModel

LIMIT = 'status 429 forever retry-after=5400 {"error":{"message":"usage limit reached","type":"rate_limit"}}'

#: Agents of every temper: the number of the issue says which.
_AGENT = """\
number="${KUGETSU_ISSUE##*#}"
work() { echo "$KUGETSU_ATTEMPT" >> work.txt; git add work.txt; git commit -qm "Work of $KUGETSU_ATTEMPT"; }
case "$number" in
  1*) work; sleep 0.3 ;;
  2*) sleep 0.2; echo "it does not compile" >&2; exit 1 ;;
  3*) case "$KUGETSU_ATTEMPT" in *.1) echo "half" > loose.txt; exit 1 ;; *) work ;; esac ;;
  4*) sleep 30 ;;
  5*) echo "nothing to do" ;;
  6*) setsid sleep 300 & work; sleep 1 ;;
  *)  echo "handed on" ;;
esac
"""


def opencode(program: str) -> Place:
    """The real opencode: commits, a usage limit that parks and is lifted, a runner killed with -9, a cancel, a daemon
    that was killed and started again while an agent worked, a second turn, the PM agent, a session destroyed."""
    with ExitStack() as stack:
        model = stack.enter_context(ScriptedModel())
        home = ROOT / "opencode-home"
        shutil.rmtree(home, ignore_errors=True)
        place = stack.enter_context(Place("opencode", {**isolate(home, model.url), "KUGETSU_OPENCODE": _own(program)}))
        place.ok("init", "--repo", str(place.main))
        place.ok("queue-daemon", "start")
        _fill_the_slots(place)
        _meet_a_limit(place)
        _lose_a_runner_and_cancel(place)
        _lose_the_daemon(place)
        place.ok("continue", place.ref(1), "MORE " + _commit("more"), "--wait")
        place.ok("delegate", _script("say Nothing is to be done."))
        place.quiet()
        place.ok("destroy", place.ref(2), "--force", "-y")
        place.ok("queue-daemon", "restart")
        place.ok("queue", "clear")
    return place


def _own(program: str) -> str:
    """The program under a path that belongs to nobody."""
    own = ROOT / "bin" / "opencode"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.unlink(missing_ok=True)
    try:
        os.link(program, own)
    except OSError:  # another file system
        shutil.copy2(program, own)
    return str(own)


def _script(*steps: str) -> str:
    return "Please do it.\n\n```script\n" + "\n".join(steps) + "\n```\n"


def _commit(name: str, *before: str) -> str:
    return _script(*before, f"write {name}.txt", f"| {name}", f"run git add -A && git commit -qm {name}", "say Done.")


def _fill_the_slots(place: Place) -> None:
    for issue in (1, 2, 3, 4):
        place.enqueue(issue, _commit(f"file{issue}", "sleep 3"))
    place.wait("task.completed", count=4)


def _meet_a_limit(place: Place) -> None:
    limited = place.enqueue(5, _script(LIMIT))
    place.wait("task.parked", task=limited)
    other = place.enqueue(6, _commit("six"))
    place.wait("task.held", task=other)
    place.run("start", place.ref(7), "anything")  # refused: the limit holds for it too
    place.ok("queue", "cancel", limited)
    place.ok("queue", "lift", "opencode:default")
    place.wait("task.completed", task=other)


def _lose_a_runner_and_cancel(place: Place) -> None:
    task = place.enqueue(8, _script("write kept.txt", "| kept", "run sleep 300", "say Never."))
    first = place.wait("attempt.starting", task=task)
    place.wait("attempt.running", task=task)
    time.sleep(3)  # so that a tool runs
    place.kill(first["data"]["runner"])
    place.wait("attempt.lost", task=task)
    place.wait("attempt.running", task=task, count=2)
    place.ok("queue", "cancel", task)
    place.wait("task.cancelled", task=task)


def _lose_the_daemon(place: Place) -> None:
    task = place.enqueue(9, _commit("nine", "sleep 6"))
    place.wait("attempt.running", task=task)
    place.kill(place.events("daemon.started")[-1]["data"]["identity"])
    place.ok("queue-daemon", "start")
    place.wait("task.completed", task=task)


def command(_: str) -> Place:
    """Agents that are shell scripts: failures that are retried and used up, runs that bring nothing and are parked,
    moves, dependencies, priorities, claims that race, settings that change, notifications, tools that outlive."""
    ROOT.mkdir(exist_ok=True)
    script = ROOT / "command-agent.sh"
    script.write_text(_AGENT)
    more = {"KUGETSU_AGENT": "command", "KUGETSU_AGENT_COMMAND": f"/bin/sh {script}"}
    with Place("command", more) as place:
        place.ok("init", "--repo", str(place.main))
        place.ok("config", "set", "MAX_RUNS_WITHOUT_PROGRESS", "2")
        place.ok("config", "set", "NOTIFY_COMMAND", "cat")
        place.ok("config", "set", "NOTIFY_SINKS", "command")
        _before_the_daemon(place)
        place.ok("queue-daemon", "start")
        place.quiet()
        _without_progress(place)
        _race(place)
        _end_and_clear(place)
    return place


def _before_the_daemon(place: Place) -> None:
    first = place.enqueue(10, "do it")
    second = place.enqueue(11, "and this", "--priority", "2")
    place.enqueue(12, "after both", "--after", first)
    place.ok("queue", "move", second, "--last")
    place.ok("queue", "move", first, "--first")
    place.enqueue(20, "cannot be done")
    place.enqueue(30, "at the second try")
    dropped = place.enqueue(13, "never mind")
    place.ok("queue", "dequeue", dropped)
    place.ok("queue", "retry", dropped)
    place.ok("start", place.ref(14), "at once", "--wait")
    place.ok("delegate", "see to what is open")


def _without_progress(place: Place) -> None:
    while not place.events("task.parked"):
        place.enqueue(50, "look again")
        place.quiet()
    place.ok("queue", "lift", place.ref(50))
    place.quiet()


def _race(place: Place) -> None:
    """More starts at a time than there are slots; one that outlives its agent, and a runner that is killed."""
    place.ok("config", "set", "MAX_CONCURRENT_AGENTS", "2")
    long = [place.enqueue(issue, "sleep") for issue in (40, 41, 42)]
    place.wait("attempt.running", task=long[1])
    place.run("start", place.ref(15), "no room")
    place.wait("task.held", task=long[2])
    place.kill(place.wait("attempt.starting", task=long[0])["data"]["runner"])
    place.wait("attempt.lost", task=long[0])
    place.ok("config", "set", "MAX_CONCURRENT_AGENTS", "4")
    for task in long:
        place.ok("queue", "cancel", task)
    place.enqueue(60, "leave a tool behind")
    place.ok("queue-daemon", "restart")
    place.quiet()


def _end_and_clear(place: Place) -> None:
    for issue in (16, 17, 18):
        place.enqueue(issue, "one more")
    place.ok("queue", "clear", "--all", "--yes")
    place.quiet()
    place.ok("destroy", place.ref(10), "--force", "-y")
    place.enqueue(10, "again, in a new session")
    place.quiet()
    place.ok("notify", "clear")
    place.ok("config", "set", "QUEUE_CLEANUP_AGE_DAYS", "0")
    place.ok("queue", "clear")
    place.ok("config", "set", "NOTIFY_SINKS", "")
    time.sleep(2)  # so that the courier sees it


def campaign(_: str) -> Place:
    """The fault campaign for some seconds: commands at random, and kill -9 of runners, agents, daemons and commands."""
    place = Place("campaign")
    folder = place.root / "runs"
    folder.mkdir()
    argv = [sys.executable, str(CHECKOUT / "tools" / "fault_campaign"), "--seconds", "12", "--seed", "7", "--keep"]
    subprocess.run(argv, env={**place.environment, "TMPDIR": str(folder)}, stdout=subprocess.DEVNULL, check=True)
    [made] = folder.iterdir()
    place.environment["KUGETSU_DIR"] = str(made / "kugetsu")
    return place


STORIES = {"opencode": opencode, "command": command, "campaign": campaign, "upgrade": upgrade, "named": command}


def log_of(place: Place) -> Path:
    """The folder of the log that a story left."""
    return Path(place.environment["KUGETSU_DIR"]) / "log"
