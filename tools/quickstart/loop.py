"""`python3 tools/quickstart --loop`: a labelled issue becomes a merged pull request, and nobody types a turn.

The git server is the scripted forge of the tests, on 127.0.0.1, with its repository beside it; this program plays the
reviewer, the checks, and who merges.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import provision
from quickstart import sample
from quickstart.demonstration import FINISHED, POLL, Demonstration
from quickstart.screen import Failed

sys.path += [str(provision.CHECKOUT / "src"), str(provision.CHECKOUT / "tests")]

from forge.scripted import ScriptedForge  # type: ignore[import-not-found]

NUMBER = 1
NAME = "acme/todo"
TOKEN = "quickstart-forge-token"
LOG = "test_todo.TodoTest ... FAIL\nAssertionError: '1. buy milk' is not shown\nError: 1 test failed\n"
MINUTES = "0.02"
PATIENCE = 240.0
SETTINGS = {
    "INTAKE_LABEL": "kugetsu",
    "INTAKE_INTERVAL_MINUTES": MINUTES,
    "INTAKE_MARK": "true",
    "OBSERVE_INTERVAL_MINUTES": MINUTES,
    "REACTIONS": "checks reviews",
    "REACTION_DELAY_MINUTES": MINUTES,
}
TEST = "run python3 -m unittest -q"
PUSH = "git push -qu origin HEAD && git log -1 --oneline"
RECIPES = (
    (
        "Turn 2 of at most",
        "say The reviewer is right on both.",
        "run sed -i 's/number, item/place, item/; s/{number}/{place}/' todo.py && python3 -m unittest -q",
        "run sed -i 's/^A todo list.*/A numbered todo list in a text file./' README.md",
        f"run git commit -qam 'Name it place, and say it in the README' && {PUSH}",
        "say I renamed it and wrote it into the README.",
    ),
    (
        "Turn 1 of at most",
        "say The check wants a test that the numbers are shown.",
        "write test_numbers.py",
        "| import unittest",
        "| class NumbersTest(unittest.TestCase):",
        "|     def test_numbers(self):",
        "|         self.assertEqual([n for n, _ in enumerate('ab', 1)], [1, 2])",
        f"run git add -A && git commit -qm 'Test the numbers' && {PUSH}",
        "say The test is there, and pushed.",
    ),
    (
        sample.ISSUES[0].title,
        sample.ISSUES[0].script,
        f"run git commit -qam '{sample.ISSUES[0].title}' && {PUSH}",
        "say The items are numbered; it is pushed.",
    ),
)


class LoopDemonstration(Demonstration):
    """One issue, from its label to the merge of its pull request."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.forge = ScriptedForge(token=TOKEN)
        self.forge.__enter__()
        self.repository = f"{self.forge.host}/{NAME}"

    def __exit__(self, *_: object) -> None:
        super().__exit__(*_)
        self.forge.close()

    def run(self) -> bool:
        """Everything; whether the pull request was merged and its worktree is gone."""
        self._make_sample()
        self._join_forge()
        self._make_model()
        self._write_environment()
        self._begin()
        self._go_round()
        self.screen.title("What kugetsu knows of it")
        self.screen.output(self._kugetsu("history", self._ref(NUMBER)))
        self.screen.output(self._kugetsu("audit", "reactions"))
        self.screen.note(f"every decision in the log: {self._kugetsu('replay', '--verify', show=False).strip()}")
        return self._session() is None

    def _write_recipes(self, path: Any) -> None:
        recipes = [{"match": match, "script": "\n".join(steps).replace("\\", "\\\\")} for match, *steps in RECIPES]
        path.write_text(json.dumps(recipes), encoding="utf-8")

    def _join_forge(self) -> None:
        """The remote is that of a server; git finds its repository in a folder."""
        config, url = self.place / "gitconfig", f"{self.forge.url}/{NAME}.git"
        config.write_text(f'[url "{self.remote}"]\n\tinsteadOf = {url}\n', encoding="utf-8")
        self._git_config = str(config)
        self.environment["GIT_CONFIG_GLOBAL"] = self._git_config
        with self.screen.step(f"a git server at {self.forge.url}, with one issue"):
            git = ["git", "-C", str(self.repo)]
            self.screen.run([*git, "remote", "set-url", "origin", url], self.environment, show=False)
        self.forge.has_branches_of(NAME, str(self.remote))
        self.forge.intake(NAME).rights |= {"mary": "write"}
        issue = sample.ISSUES[0]
        self.forge.issue(NAME, NUMBER, title=issue.title, body=issue.text, author="mary")

    def _begin(self) -> None:
        screen = self.screen
        self.environment |= {"GIT_CONFIG_GLOBAL": self._git_config}  # the model's home has another
        screen.title("One label, and then nobody types anything")
        self._kugetsu("init", "--repo", str(self.repo))
        self._kugetsu("server", "add", self.forge.host, self.forge.url)
        env = self.place / "kugetsu" / "env" / "default.env"
        env.write_text(f"GITEA_TOKEN={TOKEN}\n", encoding="utf-8")
        os.chmod(env, 0o600)
        for key, value in SETTINGS.items():
            self._kugetsu("config", "set", key, value)
        self.daemon = True
        self._kugetsu("queue-daemon", "start")

    def _go_round(self) -> None:
        forge = self.forge
        forge.label(NAME, NUMBER, "kugetsu", by="mary")
        self._note("mary sets the label kugetsu on the issue")
        self._await("a first turn, and a pull request", lambda: self._done(1) and forge.pulls(NAME))
        pull = forge.pulls(NAME)[0].number
        forge.check(
            NAME, forge.head_of(NAME, pull), "tests", "failure", job=True, steps=[("unittest", "failure")], log=LOG
        )
        self._note(f"pull request #{pull}: the check “tests” fails")
        self._await("a second turn, about the check", lambda: self._done(2))
        forge.check(NAME, forge.head_of(NAME, pull), "tests", "success")
        review = forge.review(NAME, pull, "changes_requested", body="Nearly.", author="mary")
        forge.remark(NAME, pull, "Call it place.", path="todo.py", line=19, author="mary", review=review)
        forge.remark(NAME, pull, "Say it here too.", path="README.md", line=3, author="mary", review=review)
        self._note("the check passes; mary asks for changes, with two remarks")
        self._await("a third turn, about the review", lambda: self._done(3))
        head = forge.head_of(NAME, pull)
        forge.review(NAME, pull, "approved", author="mary")
        git = ["git", "--git-dir", str(self.remote), "update-ref", "refs/heads/main", head]
        subprocess.run(git, check=True)
        forge.change_pull(NAME, pull, state="merged")
        self._note("mary approves and merges")
        self._await("the session retired, its worktree pruned", lambda: self._session() is None)

    def _note(self, text: str) -> None:
        self.screen.note(f"· {text}")

    def _await(self, what: str, happened: Callable[[], object]) -> None:
        give_up = time.monotonic() + PATIENCE
        with self.screen.step(what):
            while not happened():
                if time.monotonic() > give_up:
                    raise Failed(f"it did not come to that: {what}; see kugetsu history '{self._ref(NUMBER)}'")
                time.sleep(POLL)

    def _done(self, tasks: int) -> bool:
        known = self._tasks()
        return len(known) == tasks and all(task["state"] in FINISHED for task in known)

    def _session(self) -> dict[str, Any] | None:
        listed = json.loads(self._kugetsu("list", "--json", show=False))["sessions"]
        return next((one for one in listed if one["session"] == self._ref(NUMBER)), None)

    def tell_where_to_go_on(self) -> None:
        """What to type next."""
        self.screen.title("Go on")
        self.screen.note("On your own repository:  kugetsu help loop")
        self.screen.note(f"All of this run is in {self.place}: delete it when you like.")
