"""One run: a sample repository, a model, the daemon, six tasks; at its end nothing of it runs any more."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import provision
from quickstart import sample
from quickstart.screen import Failed, Screen

CAP = 3
POLL = 0.4
OFFLINE_PATIENCE = 600.0
STOP_PATIENCE = 60.0
_NUMBERS = {4: "four issues", 6: "six issues"}
FINISHED = ("completed", "error", "cancelled")


class Demonstration:
    """Use as a context: leaving it stops the daemon, the agents and the model server, whatever happened."""

    sample_issues: Sequence[sample.Issue] = sample.ISSUES

    def __init__(self, screen: Screen, folder: Path, opencode: str, model: str | None) -> None:
        self.screen = screen
        self.model = model
        self.bin = folder / "venv" / "bin"
        self.place = _new_folder(folder / "runs")
        self.repo = self.place / "sample" / "todo"
        self.remote = self.place / "sample" / "todo.git"
        self.issues = self.place / "ISSUES"
        self.repository = "local/sample/todo"
        self.environment = self._own_environment(opencode)
        self.server: subprocess.Popen[str] | None = None
        self.daemon = False
        self.states: dict[str, str] = {}
        screen.shorten(str(self.place), short(self.place))
        screen.shorten(str(self.bin / "kugetsu"), "kugetsu")

    def __enter__(self) -> Demonstration:
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C must not leave agents behind.
        previous = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            self._stop()
        finally:
            for number, handler in previous:
                signal.signal(number, handler)

    def run(self) -> bool:
        """Everything; whether all tasks were completed and their commits are in the remote."""
        self._make_sample()
        self._make_model()
        self._write_environment()
        self._start()
        self._watch()
        self._show()
        return self._verify()

    # -- before --------------------------------------------------------------------------------------------------

    def _own_environment(self, opencode: str) -> dict[str, str]:
        """The environment of every command here: nothing of the user's kugetsu, opencode's data in the run's folder."""
        hidden = ("KUGETSU", "OPENCODE", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "MAX_CONCURRENT_AGENTS", "TASK_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        home = self.place / "home"
        return {
            **kept,
            "PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "KUGETSU_DIR": str(self.place / "kugetsu"),
            "KUGETSU_OPENCODE": opencode,
            "KUGETSU_TEMP_DIR": str(home / "data" / "opencode" / "tool-output"),
            "MAX_CONCURRENT_AGENTS": str(CAP),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CACHE_HOME": str(home / "cache"),
        }

    def _make_sample(self) -> None:
        screen = self.screen
        screen.title(f"A sample repository with {_NUMBERS[len(self.sample_issues)]}")
        self.repo.mkdir(parents=True)
        sample.write_files(self.repo)
        sample.write_issues(self.issues)
        git = ["git", "-C", str(self.repo)]
        with screen.step(f"{short(self.repo)}, its remote beside it"):
            screen.run([*git, "init", "-q", "-b", "main"], show=False)
            for key, value in (("user.name", "Quick start"), ("user.email", "quickstart@example.invalid")):
                screen.run([*git, "config", key, value], show=False)
            screen.run([*git, "add", "."], show=False)
            screen.run([*git, "commit", "-q", "-m", "Begin"], show=False)
            screen.run(["git", "clone", "-q", "--bare", str(self.repo), str(self.remote)], show=False)
            screen.run([*git, "remote", "add", "origin", str(self.remote)], show=False)
            screen.run([*git, "fetch", "-q", "origin"], show=False)
            screen.run([*git, "remote", "set-head", "origin", "main"], show=False)
        for issue in self.sample_issues:
            screen.note(f"#{issue.number}  {issue.title}")

    def _make_model(self) -> None:
        if self.model is not None:
            self.environment["KUGETSU_MODEL"] = self.model
            _copy_opencode_configuration(self.place / "home")
            self.screen.note(f"✓ the model is {self.model}, with a copy of your opencode's configuration")
            return
        with self.screen.step("a scripted model on 127.0.0.1 (--model names a real one)"):
            self._start_server()

    def _start_server(self) -> None:
        recipes = self.place / "recipes.json"
        self._write_recipes(recipes)
        home = self.place / "home"
        python = str(provision.python_of(self.bin.parent))
        model = str(Path(__file__).parents[1] / "scripted_model")
        homes = [word for each in (home, *self._more_homes()) for word in ("--home", str(each))]
        argv = [python, model, *homes, "--recipes", str(recipes)]
        with open(self.place / "model.log", "wb") as errors:
            # A session of its own: Ctrl-C reaches it last, from here. The pipe ends it should this program be killed.
            self.server = subprocess.Popen(
                [*argv, "--until-stdin-closes"],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self.server.stdout is not None
        if not self.server.stdout.readline().startswith("listening"):
            raise Failed(f"the scripted model did not start: see {self.place / 'model.log'}")
        isolated = json.loads((home / "environment.json").read_text(encoding="utf-8"))
        self.environment.update(isolated)

    def _more_homes(self) -> list[Path]:
        return []

    def _write_recipes(self, path: Path) -> None:
        sample.write_recipes(path)

    def _write_environment(self) -> None:
        """A file to source, so that what is shown here can be typed again."""
        own = {name: value for name, value in self.environment.items() if os.environ.get(name) != value}
        own.pop("HOME", None)  # of the agents only: a shell keeps its own
        own.pop("PATH")
        lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(own.items())]
        lines.append(f'export PATH={shlex.quote(str(self.bin))}:"$PATH"')
        head = "# Lets a shell use this run's kugetsu:  . env.sh"
        (self.place / "env.sh").write_text("\n".join([head, *lines, ""]), encoding="utf-8")

    # -- the run -------------------------------------------------------------------------------------------------

    def _kugetsu(self, *arguments: str, show: bool = True) -> str:
        return self.screen.run([str(self.bin / "kugetsu"), *arguments], self.environment, str(self.place), show=show)

    def _start(self) -> None:
        screen = self.screen
        screen.title(f"Six tasks, {CAP} agents at a time")
        screen.note(f"To type along: . {shlex.quote(short(self.place / 'env.sh'))}")
        self._kugetsu("init", "--repo", str(self.repo))
        self.daemon = True
        self._kugetsu("queue-daemon", "start")
        for issue in self.sample_issues:
            message = str(self.issues / f"{issue.number}.md")
            self._kugetsu("queue", "enqueue", self._ref(issue.number), "--file", message)
        print(flush=True)

    def _ref(self, number: int) -> str:
        return f"{self.repository}#{number}"

    def _tasks(self) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = json.loads(self._kugetsu("queue", "list", "--all", "--json", show=False))["tasks"]
        return sorted(tasks, key=lambda task: int(task["task"][1:]))

    def _watch(self) -> None:
        """Follow the tasks until none goes on by itself."""
        give_up = time.monotonic() + OFFLINE_PATIENCE
        started: dict[str, float] = {}
        spent: dict[str, float] = {}
        while True:
            tasks = self._tasks()
            status = json.loads(self._kugetsu("status", "--json", show=False))
            agents = {agent["task"]: agent for agent in status["agents"]}
            rows = []
            for task in tasks:
                name, state = task["task"], task["state"]
                if state == "notified":
                    started.setdefault(name, time.monotonic())
                if name in started and (state == "notified" or name not in spent):
                    spent[name] = time.monotonic() - started[name]
                text = _describe(task, agents.get(name), spent.get(name))
                rows.append((name, state, text))
            self.screen.board(rows)
            self.states = {task["issue"]: task["state"] for task in tasks}
            if all(task["state"] in FINISHED for task in tasks):
                return
            if self.model is None and time.monotonic() > give_up:
                raise Failed(f"after {OFFLINE_PATIENCE:.0f} s not all tasks have ended: see kugetsu status")
            if self.server is not None and self.server.poll() is not None:
                raise Failed(f"the scripted model ended: see {self.place / 'model.log'}")
            time.sleep(POLL)

    def _show(self) -> None:
        screen = self.screen
        screen.title("What kugetsu knows of it")
        screen.output(self._kugetsu("status"))
        screen.output(self._kugetsu("report"))
        screen.output(self._kugetsu("history", self._ref(1)))

    def _verify(self) -> bool:
        """Whether each task is completed, and its branch, with commits of its own, is in the remote. Raises Failed when
        a decision in the log is not what kugetsu decides again."""
        screen = self.screen
        screen.title("The branches that came out, in the remote")
        git = ["git", "--git-dir", str(self.remote)]
        good = 0
        for issue in self.sample_issues:
            branch = f"fix/issue-{issue.number}"
            try:
                subject = screen.run([*git, "log", "-1", "--format=%h %s", f"main..{branch}"], show=False).strip()
                changed = screen.run([*git, "diff", "--shortstat", f"main...{branch}"], show=False).strip()
            except Failed:
                subject = changed = ""
            state = self.states.get(self._ref(issue.number), "missing")
            fine = bool(subject) and state == "completed"
            good += fine
            mark = screen.paint("✓", "32") if fine else screen.paint("✗", "31")
            screen.note(
                f"{mark} {branch}  {subject or 'nothing was pushed'} {changed}  {'' if fine else state}".rstrip()
            )
        screen.note(f"{good} of {len(self.sample_issues)} tasks are completed, committed and pushed")
        screen.note(f"every decision in the log: {self._kugetsu('replay', '--verify', show=False).strip()}")
        return good == len(self.sample_issues)

    # -- after ---------------------------------------------------------------------------------------------------

    def tell_where_to_go_on(self) -> None:
        """What to type next."""
        screen = self.screen
        screen.title("Go on")
        screen.note(f". {shlex.quote(short(self.place / 'env.sh'))}")
        for text in (
            f"kugetsu history '{self._ref(2)}'     another story; --all tells everything",
            "kugetsu logs 1                           what an agent said and did",
            f"kugetsu why '{self._ref(1)}'         why a task runs or does not",
            "kugetsu --help                           all commands",
        ):
            screen.note(text)
        print()
        screen.note("With a model of yours:   python3 tools/quickstart --model PROVIDER/MODEL")
        screen.note("On your own repository:  see “First real use” in README.md")
        screen.note(f"All of this run is in {short(self.place)}: delete it when you like.")

    def _stop(self) -> None:
        """End the agents, the daemon and the model server; what cannot be ended is told."""
        if self.daemon:
            with contextlib.suppress(Failed, ValueError):
                self._cancel_what_runs()
            try:
                self._kugetsu("queue-daemon", "stop", show=False)
            except Failed as problem:
                print(problem, flush=True)
        if self.server is not None:
            assert self.server.stdin is not None and self.server.stdout is not None
            self.server.stdin.close()
            try:
                self.server.wait(10)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
            self.server.stdout.close()

    def _cancel_what_runs(self) -> None:
        open_tasks = [task for task in self._tasks() if task["state"] not in FINISHED]
        if not open_tasks:
            return
        print(flush=True)
        with self.screen.step("stopping the agents"):
            for task in sorted(open_tasks, key=lambda task: bool(task["attempt"])):  # those that wait first
                with contextlib.suppress(Failed):  # it has ended meanwhile
                    self._kugetsu("queue", "cancel", task["task"], show=False)
            give_up = time.monotonic() + STOP_PATIENCE
            while any(task["state"] not in FINISHED for task in self._tasks()) and time.monotonic() < give_up:
                time.sleep(POLL)


def _describe(task: Mapping[str, Any], agent: Mapping[str, Any] | None, spent: float | None) -> str:
    """One line of the board."""
    head = f"#{task['issue'].rpartition('#')[2]} {task['title']:<30}"
    took = f"{spent:4.0f} s" if spent is not None else "      "
    if task["state"] == "notified":
        doing = "starting" if agent is None or agent["state"] != "running" else agent["last"] or "thinking"
        tokens = f"{agent['tokens'] / 1000:.0f}k tokens" if agent and agent["tokens"] else ""
        return f"{head} {took}  {doing}  {tokens}".rstrip()
    words = {"pending": "waits for a slot", "completed": "completed", "parked": "parked", "error": "failed"}
    said = words.get(task["state"], task["state"])
    reason = f": {task['reason']}" if task["reason"] and task["state"] != "pending" else ""
    tries = f", attempt {task['used'] + 1}" if task["state"] == "pending" and task["used"] else ""
    return f"{head} {took}  {said}{tries}{reason}"


def _new_folder(runs: Path) -> Path:
    """A folder of this run's own: what an earlier run made, and what was tried in it since, stays."""
    runs.mkdir(parents=True, exist_ok=True)
    name = time.strftime("%Y%m%d-%H%M%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        with contextlib.suppress(FileExistsError):
            (runs / (name + suffix)).mkdir()
            return runs / (name + suffix)
    raise Failed(f"too many runs in {runs}")


def short(path: Path) -> str:
    """The path as one would type it from here."""
    with contextlib.suppress(ValueError, FileNotFoundError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _copy_opencode_configuration(home: Path) -> None:
    """The user's opencode configuration and credentials, for a real model: read once, never written back."""
    user_config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "opencode"
    user_data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "opencode"
    if user_config.is_dir():
        shutil.copytree(user_config, home / "config" / "opencode", ignore=shutil.ignore_patterns("node_modules"))
    credentials = user_data / "auth.json"
    if credentials.is_file():
        (home / "data" / "opencode").mkdir(parents=True, mode=0o700)
        copy = home / "data" / "opencode" / "auth.json"
        copy.touch(mode=0o600)
        copy.write_bytes(credentials.read_bytes())
