"""A directory that an older kugetsu began and this one goes on with."""

from __future__ import annotations

import shutil
import subprocess
import time

from log_fixtures.place import CHECKOUT, ROOT, Place

FIRST_VERSION = "d364ae0"
"""The commit whose program begins the log: the core, before forges, gates of resources and notifications came."""

_AGENT = """\
work() { echo "$KUGETSU_ATTEMPT" >> work.txt; git add work.txt; git commit -qm "Work of $KUGETSU_ATTEMPT"; }
case "${KUGETSU_ISSUE##*#}" in
  1*) work ;;
  2*) sleep 0.2; echo "it does not compile" >&2; exit 1 ;;
  4*) sleep 30 ;;
  5*) echo "nothing to do" ;;
  7*) test -e /tmp/kugetsu-fixtures/limit || { work; exit 0; }
      echo "You've hit your usage limit. Try again in 2 hours." >&2; exit 1 ;;
  *)  echo "handed on" ;;
esac
"""


def upgrade(_: str) -> Place:
    """Begun by the first version: commits, failures, a usage limit that parks, a runner and a daemon killed with -9, a
    cancel, a session destroyed. Its daemon goes on while this version's commands act, then this version takes over."""
    ROOT.mkdir(exist_ok=True)
    script = ROOT / "upgrade-agent.sh"
    script.write_text(_AGENT)
    (ROOT / "limit").touch()
    more = {"KUGETSU_AGENT": "command", "KUGETSU_AGENT_COMMAND": f"/bin/sh {script}"}
    with Place("upgrade", more) as place:
        present = place.environment["PYTHONPATH"]
        place.environment["PYTHONPATH"] = f"{place.root / 'neutral'}:{_first_version(place)}"
        _begin(place)
        place.environment["PYTHONPATH"] = present
        _beside_the_old_daemon(place)
        place.ok("queue-daemon", "restart")
        _go_on(place)
    return place


def _first_version(place: Place) -> str:
    folder = place.root / "first"
    folder.mkdir()
    packed = subprocess.run(["git", "archive", FIRST_VERSION, "src"], cwd=CHECKOUT, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=folder, input=packed.stdout, check=True)
    return str(folder / "src")


def _begin(place: Place) -> None:
    place.ok("init", "--repo", str(place.main))
    place.ok("queue-daemon", "start")
    first = place.enqueue(10, "do it")
    place.enqueue(11, "after it", "--after", first)
    place.enqueue(20, "cannot be done")
    place.quiet()
    limited = place.enqueue(70, "meets a limit")
    place.wait("task.parked", task=limited)
    place.wait("task.held", task=place.enqueue(12, "waits for the limit"))
    place.ok("queue", "retry", limited)  # which lifts it, and meets it again
    place.wait("task.parked", task=limited, count=2)
    place.ok("queue", "cancel", limited)
    (ROOT / "limit").unlink()
    place.ok("queue", "retry", limited)
    place.quiet()
    long = place.enqueue(40, "sleep")
    place.wait("attempt.running", task=long)
    place.kill(place.events("attempt.starting", task=long)[-1]["data"]["runner"])
    place.wait("attempt.running", task=long, count=2)
    place.kill(place.events("daemon.started")[-1]["data"]["identity"])
    place.ok("queue-daemon", "start")
    place.ok("queue", "cancel", long)
    place.wait("task.cancelled", task=long)
    place.quiet()
    place.ok("destroy", place.ref(10), "--force", "-y")
    (ROOT / "limit").touch()
    place.enqueue(71, "meets the limit again")
    place.wait("task.parked", count=3)


def _beside_the_old_daemon(place: Place) -> None:
    """What the first version's daemon does not know of: it goes on all the same."""
    held = place.enqueue(50, "look", "--priority", "2")
    place.wait("task.held", task=held)
    place.enqueue(14, "one more", "--priority", "2")
    place.ok("queue", "move", held, "--last")
    place.ok("notify", "clear")
    place.ok("config", "set", "MAX_RUNS_WITHOUT_PROGRESS", "2")
    place.run("start", place.ref(13), "anything")  # refused: the limit holds for it too


def _go_on(place: Place) -> None:
    (ROOT / "limit").unlink()
    place.ok("queue", "lift", "command:default")
    place.quiet()
    while not place.events("task.parked", issue=place.ref(50)):
        place.enqueue(50, "look again")
        place.quiet()
    place.ok("queue", "lift", place.ref(50))
    place.quiet()
    place.enqueue(10, "again, in a new session")  # with the counters of one that the first version destroyed
    place.quiet()
    place.ok("queue", "clear")
    time.sleep(0.5)
    shutil.rmtree(place.root / "first")
