"""What the checks examine: one KUGETSU_DIR in any state. What cannot be read is kept as its error."""

from __future__ import annotations

import os
from collections.abc import Mapping

from kugetsu.domain.state import State
from kugetsu.host import config
from kugetsu.host.config import Config
from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.runtime.workspace import Workspace, actor, learn_secrets, outside

WITHOUT_SETTINGS = "not checked: the settings cannot be read (see settings above)"


class Context:
    """A directory under examination. ``online``: servers may be contacted."""

    def __init__(self, paths: Paths, environment: Mapping[str, str], command: str, *, online: bool = False) -> None:
        learn_secrets(paths, environment)
        self.paths = paths
        self.online = online
        self.config_problem: KugetsuError | None = None
        by = actor(command, environment)
        self.environment = outside(environment)
        self.ws: Workspace = Workspace(paths, self._settings(), self.environment, by)
        self._state: State | None = None
        self._state_problem: KugetsuError | None = None

    def _settings(self) -> Config:
        """The settings in force; without an unreadable file those of the environment, else the defaults."""
        try:
            return config.load(self.paths.config, self.environment)
        except BadInput as problem:
            self.config_problem = problem
        try:
            return config.load(os.devnull, self.environment)
        except BadInput:  # the environment's are wrong too, or alone: the defaults
            return config.load(os.devnull, {})

    @property
    def has_log(self) -> bool:
        """Whether there is a log at all."""
        return self.paths.exists()

    def state(self) -> State | None:
        """The folded log; None without a log, or if it cannot be read (`state_problem`)."""
        if self._state is None and self._state_problem is None and self.has_log:
            try:
                self._state = self.ws.state()
            except KugetsuError as problem:
                self._state_problem = problem
            except OSError as problem:
                self._state_problem = KugetsuError(
                    f"{problem.filename}: {(problem.strerror or 'cannot be read').lower()}"
                )
        return self._state

    def why_no_state(self) -> str:
        """Why a check that needs the log is skipped."""
        return "the log cannot be read" if self.has_log else "there is no log"

    def state_problem(self) -> KugetsuError | None:
        """Why the log cannot be read; None if it can, or there is none."""
        self.state()
        return self._state_problem

    def close(self) -> None:
        """Close the log."""
        self.ws.close()
