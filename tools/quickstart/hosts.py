"""`python3 tools/quickstart --hosts 3`: three hosts share one log in PostgreSQL, and one of them dies.

The hosts are three folders of this machine, each with its own KUGETSU_DIR, HOME and opencode, and its own role in the
database. The database is a real server in a folder of its own. What a host starts is ended by SIGKILL, as a machine
ends that loses its power; later it is switched on again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import local_postgres
import provision
from local_postgres import LocalPostgres
from quickstart import sample
from quickstart.demonstration import FINISHED, POLL, Demonstration, short
from quickstart.screen import Failed, Screen

ISSUES = sample.ISSUES[:4]
PATIENCE = 600.0
OWNER = "kugetsu_owner"


class Box:
    """One host: its folder, and the environment of every command that is typed there."""

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self.folder = place / name
        self.home = self.folder / "home"
        self.environment: dict[str, str] = {}
        self.daemon = False

    @property
    def log(self) -> Path:
        """Its mirror of the log."""
        return self.folder / "kugetsu" / "log"

    def processes(self) -> list[int]:
        """What runs there: all that has its HOME or KUGETSU_DIR, whoever started it."""
        mark = f"={self.folder}/".encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
                if mark in Path(f"/proc/{pid}/environ").read_bytes():
                    found.append(int(pid))
        return found

    def die(self) -> int:
        """End all of it at once; how many processes. Those that one of them started meanwhile are ended, too."""
        ended: set[int] = set()
        while alive := self.processes():
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            ended.update(alive)
            time.sleep(0.02)
        self.daemon = False
        return len(ended)


class HostsDemonstration(Demonstration):
    """Leaving it stops the database as well, and every daemon and agent of each host."""

    sample_issues = ISSUES

    def __init__(self, screen: Screen, folder: Path, opencode: str, hosts: int) -> None:
        super().__init__(screen, folder, opencode, None)
        found = local_postgres.programs(provision.site_packages(folder / "venv"))
        if found is None:
            raise Failed("no PostgreSQL server: name the folder of its programs in KUGETSU_TEST_POSTGRES")
        self.programs = found
        self.boxes = [Box(f"box{number}", self.place) for number in range(1, hosts + 1)]
        self.first, self.dying = self.boxes[0], self.boxes[1]
        self.hold = self.place / "a-long-check"
        self.postgres: LocalPostgres | None = None

    def run(self) -> bool:
        """Everything; whether all tasks were completed, by an unbroken log that is the same on every host."""
        self._make_sample()
        self._make_model()
        self._make_hosts()
        self._share()
        self._work()
        self._lose()
        self._return()
        return self._verify()

    # -- before --------------------------------------------------------------------------------------------------

    def _more_homes(self) -> list[Path]:
        return [box.home for box in self.boxes]

    def _write_recipes(self, path: Path) -> None:
        """As the sample has it, but each agent commits, and has a long check to run before it pushes."""
        recipes = []
        for issue in ISSUES:
            commit = f"run git add . && git commit -qm '{issue.title}'"
            check = f"say A long check comes before the push.\nrun while test -e '{self.hold}'; do sleep 0.1; done"
            push = "run git push -qu origin HEAD && git log -1 --oneline"
            script = "\n".join([issue.script, commit, check, push, f"say {issue.title}: done and pushed."])
            recipes.append({"match": f"{issue.title}\\n", "script": script.replace("\\", "\\\\")})
        path.write_text(json.dumps(recipes, indent=1) + "\n", encoding="utf-8")

    def _make_hosts(self) -> None:
        """The server with a role for each host, and the hosts."""
        self.hold.touch()
        screen = self.screen
        screen.title(f"A PostgreSQL, and {len(self.boxes)} hosts")
        with screen.step("a server in a folder of its own, with a database"):
            self.postgres = LocalPostgres(self.programs, {})
            self._sql(f"CREATE ROLE {OWNER} LOGIN CREATEROLE", "CREATE DATABASE kugetsu OWNER kugetsu_owner")
        for box in self.boxes:
            self._make_host(box)
        names = ", ".join(box.name for box in self.boxes)
        screen.note(f"✓ {names}: each a KUGETSU_DIR with its own HOME, and one slot")
        screen.shorten(str(self.place), "…")

    def _make_host(self, box: Box) -> None:
        box.home.mkdir(parents=True, exist_ok=True)
        isolated = box.home / "environment.json"
        own = json.loads(isolated.read_text(encoding="utf-8")) if isolated.exists() else {"HOME": str(box.home)}
        box.environment = {
            **self.environment,
            **own,
            "KUGETSU_DIR": str(box.folder / "kugetsu"),
            "KUGETSU_TEMP_DIR": str(box.home / "data" / "opencode" / "tool-output"),
            "HOST_NAME": box.name,
            "MAX_CONCURRENT_AGENTS": "1",
            "RETRY_BACKOFF_SECONDS": "1",
        }
        assert self.postgres is not None
        server = f"host={self.postgres.folder}\nport={self.postgres.port}\ndbname=kugetsu\n"
        service = f"[owner]\n{server}user={OWNER}\n\n[kugetsu]\n{server}user=kugetsu_{box.name}\n"
        (box.home / ".pg_service.conf").write_text(service, encoding="utf-8")

    def _sql(self, *statements: str, role: str = "postgres", database: str = "postgres") -> None:
        assert self.postgres is not None
        words = ["-h", str(self.postgres.folder), "-U", role, "-d", database, "-q", "-v", "ON_ERROR_STOP=1"]
        for statement in statements:
            self.postgres.call("psql", *words, "-c", statement)

    # -- the run -------------------------------------------------------------------------------------------------

    def _on(self, box: Box, *arguments: str, show: bool = True) -> str:
        argv = [str(self.bin / "kugetsu"), *arguments]
        return self.screen.run(argv, box.environment, str(box.folder), show=show, at=box.name)

    def _kugetsu(self, *arguments: str, show: bool = True) -> str:
        return self._on(self.first, *arguments, show=show)

    def _share(self) -> None:
        """As the guide's page has it, from the first host's log to the last one's daemon."""
        self.screen.title("One log")
        self._kugetsu("init", "--repo", f"file://{self.remote}")
        self.screen.output(self._kugetsu("log", "share", "service=owner"))
        self._sql(
            *(f"CREATE ROLE kugetsu_{box.name} LOGIN IN ROLE kugetsu_writer" for box in self.boxes),
            role=OWNER,
            database="kugetsu",
        )
        for box in self.boxes:
            self.screen.output(self._on(box, "init", "--join", "service=kugetsu").splitlines()[0])
        for box in self.boxes:
            self._start(box)

    def _start(self, box: Box | None = None) -> None:
        box = box or self.first
        self._on(box, "queue-daemon", "start")
        box.daemon = True

    def _work(self) -> None:
        screen = self.screen
        screen.title(f"{len(ISSUES)} tasks, queued on {self.first.name}, run on all hosts")
        for issue in ISSUES:
            message = str(self.issues / f"{issue.number}.md")
            self._kugetsu("queue", "enqueue", self._ref(issue.number), "--file", message)
        with self._await("each host has an agent that has committed"):
            self._until(lambda: all(self._committed(box) for box in self.boxes))
        screen.output(self._kugetsu("status"))
        waits = next(task for task in self._tasks() if task["state"] == "pending")
        why = self._on(self.boxes[-1], "why", waits["task"]).splitlines()
        screen.output("\n".join([why[0], *(line for line in why if line.strip().startswith("on "))]))

    def _committed(self, box: Box) -> bool:
        """Whether an agent's commit is in a worktree of the host."""
        for worktree in (box.folder / "kugetsu" / "worktrees").glob("*/.git"):
            command = ["git", "-C", str(worktree.parent), "rev-list", "--count", "HEAD", "--not", "--remotes"]
            counted = subprocess.run(command, env=box.environment, capture_output=True, text=True, check=False)
            if counted.stdout.strip() not in ("", "0"):
                return True
        return False

    def _lose(self) -> None:
        """The second host dies with its agent, and its task runs elsewhere."""
        screen, dying = self.screen, self.dying
        screen.title(f"{dying.name} dies, with what its agent has not pushed")
        self.given = next(task for task in self._tasks() if task["state"] == "notified" and self._is_of(task, dying))
        screen.note(f"· SIGKILL to all {dying.die()} processes there: daemon, relay, runner, agent")
        screen.note("· its time to live is 30 minutes; a person who knows better need not wait")
        screen.output(self._kugetsu("host", "lost", dying.name))
        screen.output(self._kugetsu("host", "list"))
        self.hold.unlink()  # from here on a check ends at once
        with self._await("all tasks are completed, on the hosts that are left"):
            self._until(lambda: all(task["state"] in FINISHED for task in self._tasks()))
        self.states = {task["issue"]: task["state"] for task in self._tasks()}
        screen.output(self._kugetsu("queue", "list", "--all"))

    def _is_of(self, task: dict[str, Any], box: Box) -> bool:
        return (box.folder / "kugetsu" / "runs" / str(task["attempt"])).is_dir()

    def _return(self) -> None:
        screen, dying = self.screen, self.dying
        screen.title(f"{dying.name} is switched on again")
        self._start(dying)
        with self._await("what is only there is kept on a branch, and told"):
            self._until(lambda: self._told("host.returned"))
        for event in self._told("host.returned"):
            for one in event["data"]["worktrees"]:
                pushed = ", pushed" if one["pushed"] else ""
                screen.note(f"· {one['session']}: {one['commits']} commit on {one['rescue']}{pushed}")
                git = ["git", "-C", one["worktree"], "log", "--oneline", "-1", one["rescue"]]
                screen.output(screen.run(git, dying.environment, at=dying.name))
        screen.output(self._kugetsu("host", "list"))

    def _told(self, kind: str) -> list[dict[str, Any]]:
        events = map(json.loads, self._kugetsu("history", "--all", "--json", show=False).splitlines())
        return [event for event in events if event["type"] == kind]

    def _until(self, happened: Callable[[], object]) -> None:
        give_up = time.monotonic() + PATIENCE
        while not happened():
            if time.monotonic() > give_up:
                raise Failed(f"nothing more happened for {PATIENCE:.0f} s; see kugetsu status")
            if self.server is not None and self.server.poll() is not None:
                raise Failed(f"the scripted model ended: see {self.place / 'model.log'}")
            time.sleep(POLL)

    @contextlib.contextmanager
    def _await(self, what: str) -> Iterator[None]:
        with self.screen.step(what):
            yield

    def _stop_daemons(self, boxes: Sequence[Box] | None = None) -> None:
        for box in self.boxes if boxes is None else boxes:
            if box.daemon:
                self._on(box, "queue-daemon", "stop", show=False)
                box.daemon = False

    def _verify(self) -> bool:
        """Also whether the log verifies on each host, and is the same on all of them."""
        whole = super()._verify()
        self._stop_daemons()
        for box in self.boxes:
            self._on(box, "log", "verify", show=False)
        count = min(len(_lines(box)) for box in self.boxes)
        same = all(_lines(box)[:count] == _lines(self.first)[:count] for box in self.boxes)
        said = "the same on all" if same else "but it is NOT the same on all"
        self.screen.note(f"the log verifies on each host, {count} events, {said}")
        return whole and same

    # -- after ---------------------------------------------------------------------------------------------------

    def tell_where_to_go_on(self) -> None:
        """What to type next."""
        self.screen.title("Go on")
        mirror = short(self.first.folder / "kugetsu")
        self.screen.note(f"KUGETSU_DIR={mirror} kugetsu history --all")
        self.screen.note("    the log, from a mirror: the database is gone")
        self.screen.note("With machines of yours:  kugetsu help many-hosts")
        self.screen.note(f"All of this run is in {short(self.place)}: delete it when you like.")

    def _stop(self) -> None:
        """End the agents, the daemons, the model and the database."""
        self.hold.unlink(missing_ok=True)
        with contextlib.suppress(Failed):
            self._stop_daemons(self.boxes[1:])
        self.daemon = self.first.daemon
        super()._stop()
        for box in self.boxes:
            box.die()
        if self.postgres is not None:
            self.postgres.close()


def _lines(box: Box) -> list[bytes]:
    """The events that a host has in its files."""
    return b"".join(path.read_bytes() for path in sorted(box.log.glob("*.jsonl"))).splitlines()
