"""The adapter for opencode: one `opencode run` process for each turn, sessions forked by export and import."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from kugetsu.agents import error_lines, last_activity, limits, missing_program
from kugetsu.agents.commands import Command, calls_of, ended_at, of_call
from kugetsu.agents.last_activity import Progress
from kugetsu.agents.missing_program import INSTALL_HINT
from kugetsu.agents.opencode import baseline, config, refusals, session_files, store, usage
from kugetsu.agents.opencode import environment as opencode_environment
from kugetsu.agents.opencode import leftovers as opencode_leftovers
from kugetsu.agents.opencode import program as opencode_program
from kugetsu.agents.opencode.events import add_calls_of_sub_agents, read_errors, read_output
from kugetsu.agents.opencode.health_check import check
from kugetsu.agents.opencode.verdict import judge
from kugetsu.agents.outcome import Kind, Outcome, sentence
from kugetsu.agents.protocol import Checkup, Ended, Health, Launch, Leftover, Problem, Running, Turn
from kugetsu.host import atomic
from kugetsu.host.paths import Paths
from kugetsu.model.errors import AgentFailed, AgentUnavailable, NotFound
from kugetsu.model.plural import counted

_MODEL_HINT = "opencode auth login, or: kugetsu config set KUGETSU_MODEL provider/model (opencode models lists them)"


class OpenCode:
    """opencode, as found by KUGETSU_OPENCODE or in PATH. Nothing is run and nothing is looked for until it is needed.

    ``settings`` are kugetsu's (KUGETSU_OPENCODE, KUGETSU_MODEL, KUGETSU_TEMP_DIR, KUGETSU_DIR are read);
    ``environment`` is that in which opencode shall find the user's configuration: by default this process's own.
    """

    name = "opencode"

    def __init__(self, settings: Mapping[str, str], environment: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._environment = dict(os.environ if environment is None else environment)
        self._found: str | None = None
        self._version: str | None = None

    # -- the program ----------------------------------------------------------------------------------------------

    def program(self) -> str:
        """The path of the program. Raises AgentUnavailable when there is none."""
        if self._found is None:
            self._found = opencode_program.find(self._settings, self._environment)
        return self._found

    def version(self) -> str:
        """What `opencode --version` says (0.5 s, once)."""
        if self._version is None:
            done = self._run("--version")
            self._version = done.output.decode("utf-8", "replace").strip()
            if done.exit_code != 0 or opencode_program.parse_version(self._version) is None:
                version, self._version = self._version, None
                cause = error_lines.cause(done.errors.splitlines()) or version or f"exit code {done.exit_code}"
                kind = AgentFailed if done.exit_code < 0 else AgentUnavailable
                raise kind(f"{self.program()} does not work: {cause}", INSTALL_HINT)
        return self._version

    def check(self) -> list[Problem]:
        """Program, version and models: about 2 s."""
        try:
            self.require()
            version = opencode_program.parse_version(self.version()) or ()
        except AgentUnavailable as error:
            return [Problem(error.message, error.hint or INSTALL_HINT)]
        problems = []
        tested = ".".join(map(str, opencode_program.TESTED))
        if version[:2] < opencode_program.TESTED:
            said = f"opencode {self.version()} is older than {tested}: forks may not work"
            problems.append(Problem(said, INSTALL_HINT, fatal=version < (1, 0)))
        elif version[:2] > opencode_program.TESTED:
            said = f"opencode {self.version()} is newer than {tested}, with which kugetsu was tested"
            problems.append(Problem(said, "should something fail, try 1.18.33", fatal=False))
        return problems + self._check_model()

    def _check_model(self) -> list[Problem]:
        try:
            done = self._run("models")
        except AgentUnavailable as error:
            return [Problem(error.message, error.hint or _MODEL_HINT)]
        if done.exit_code != 0:
            problem = self._failure("list its models", done)
            return [Problem(problem.message, _models_hint(problem.message))]
        listed = done.output.decode("utf-8", "replace").split()
        wanted = self._settings.get("KUGETSU_MODEL")
        if wanted and wanted not in listed:
            return [Problem(f"opencode does not know the model {wanted} (KUGETSU_MODEL)", _MODEL_HINT)]
        if not listed:
            return [Problem("opencode knows no model", _MODEL_HINT)]
        return []

    def require(self) -> None:
        """Raises AgentUnavailable when the program is missing, or the interpreter of its start script."""
        search = self._environment.get("PATH", os.defpath)
        if (problem := missing_program.interpreter(self.program(), search)) is not None:
            raise problem

    def prepare_home(self) -> None:
        """Lets opencode make its database before anything runs in parallel: the first starts race for it.

        Done once for each program file and database, so that an upgrade's migrations are not raced for either. Costs a
        `stat` afterwards, 1 to 2 s the first time; of several callers one does it and the others wait. Locks that a
        killed opencode left are cleared each time: it would wait a minute for them.
        """
        opencode_leftovers.clear_abandoned(self._environment)
        mark = self._room() / "prepared"
        if self._is_prepared(mark):
            return
        with self._locked("prepare.lock"):
            if self._is_prepared(mark):
                return
            done = self._run("session", "list")
            if done.exit_code != 0:
                raise self._failure("make its database", done, "try: opencode session list")
            atomic.write(str(mark), self._identity().encode())

    def _is_prepared(self, mark: Path) -> bool:
        try:
            return mark.read_text(encoding="utf-8") == self._identity() and self._database().exists()
        except FileNotFoundError:
            return False

    def _identity(self) -> str:
        status = Path(self.program()).stat()
        return f"{self.program()} {status.st_size} {status.st_mtime_ns} {self._database()}\n"

    # -- sessions -------------------------------------------------------------------------------------------------

    def make_session(self, directory: str, title: str) -> str:
        """Imports an empty session (1 s, no model)."""
        now = _millis()
        session = session_files.new_session_id(now)
        self._import(session_files.minimal(session, title, self.version(), now), session, directory)
        return session

    def fork(self, base: str, directory: str, title: str) -> str:
        """Exports the base (once for each of its revisions), gives it new ids, imports it in the directory: 1-2 s."""
        exported = self._exported(base)
        now = _millis()
        session = session_files.new_session_id(now)
        self._import(session_files.renewed(exported, session, title, directory, now), session, directory)
        return session

    def exists(self, session: str) -> bool:
        """Whether opencode's database has the session."""
        return self._row(session) is not None

    def session_directory(self, session: str) -> str | None:
        """The directory that opencode's database names for the session."""
        row = self._row(session)
        return None if row is None else row.directory

    def delete_session(self, session: str) -> None:
        """`opencode session delete`. Raises AgentUnavailable when the session is still there afterwards."""
        if not self.exists(session):
            return
        done = self._run("session", "delete", session)
        if done.exit_code != 0 and self.exists(session):
            hint = f"try: opencode session delete {session}"
            raise self._failure(f"delete session {session}", done, hint)

    def forget_directory(self, directory: str) -> None:
        """Removes opencode's snapshots of a directory that is gone."""
        for folder, worktree in self._stale_snapshots(os.path.dirname(directory)):
            if worktree == directory:
                shutil.rmtree(folder, ignore_errors=True)

    def leftovers(self, worktrees: str) -> list[Leftover]:
        """Libraries that opencode unpacked into the temporary folder, and snapshots of worktrees that are gone."""
        found = []
        libraries = opencode_leftovers.libraries(self._environment.get("TMPDIR") or tempfile.gettempdir())
        if libraries:
            said = f"{counted(len(libraries), 'library')} that opencode unpacked, in {os.path.dirname(libraries[0])}"
            found.append(Leftover("libraries", said, tuple(libraries)))
        stale = [folder for folder, _ in self._stale_snapshots(worktrees)]
        if stale:
            said = f"{len(stale)} of opencode's snapshot folders belong to missing worktrees"
            found.append(Leftover("snapshots", said, tuple(stale)))
        return found

    def _stale_snapshots(self, worktrees: str) -> list[tuple[str, str]]:
        """Snapshot folders, and their worktrees, directly below a folder of kugetsu's, gone and without a session."""
        found = []
        for folder, worktree in opencode_leftovers.snapshots(opencode_environment.data_directory(self._environment)):
            if os.path.dirname(worktree) == worktrees and not os.path.lexists(worktree):
                with suppress(store.UnreadableError):
                    if not store.works_in(self._database(), worktree):
                        found.append((folder, worktree))
        return found

    def transcript(self, session: str) -> str:
        """The conversation so far, from an export."""
        return session_files.as_text(self._export(session))

    def _row(self, session: str) -> store.Row | None:
        try:
            return store.find(self._database(), session)
        except store.UnreadableError:
            # Its schema is private: where it is another one, opencode itself is asked, which takes a second.
            return store.from_list(self._run("session", "list", "--format", "json").output, session)

    def _exported(self, session: str) -> bytes:
        row = self._row(session)
        if row is None:
            raise NotFound(f"opencode has no session {session}", "make a new one: kugetsu init --force")
        folder = self._room() / "exports"
        kept = folder / f"{session}-{row.updated}.json"
        with suppress(FileNotFoundError):
            return kept.read_bytes()
        exported = self._export(session)
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{session}-*.json"):
            old.unlink(missing_ok=True)
        atomic.write(str(kept), exported)
        return exported

    def _export(self, session: str) -> bytes:
        done = self._run("export", session)
        if "Session not found" in done.errors:
            raise NotFound(f"opencode has no session {session}", "kugetsu list shows the sessions")
        if done.exit_code != 0:
            raise self._failure(f"export session {session}", done)
        return done.output

    def _import(self, content: bytes, session: str, directory: str) -> None:
        folder = self._room() / "imports"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{session}.json"
        atomic.write(str(file), content)
        try:
            done = self._run("import", str(file), directory=directory)
        finally:
            file.unlink(missing_ok=True)
        said = (done.output.decode("utf-8", "replace") + done.errors).strip()
        if done.exit_code != 0 or session not in said:
            raise self._failure("import a session", done, "try: opencode session list")

    # -- turns ----------------------------------------------------------------------------------------------------

    def launch(self, turn: Turn) -> Launch:
        """`opencode run` in the worktree, the prompt on stdin, events to a file, errors and signs to another."""
        opencode_leftovers.clear_abandoned(self._environment | dict(turn.environment))
        argv = [self.program(), "run", "--format", "json", "--print-logs", "--log-level", "ERROR"]
        argv += ["--dir", turn.directory, "--session", turn.session]
        if model := turn.model or self._settings.get("KUGETSU_MODEL"):
            argv += ["--model", model]
        given = dict(turn.environment)
        temp_dir = self._settings.get("KUGETSU_TEMP_DIR") or None
        if temp_dir:
            temp_dir = str(Path(temp_dir).expanduser())
            given.setdefault("KUGETSU_TEMP_DIR", temp_dir)
        outside = (temp_dir, given.get("TMPDIR"), os.path.dirname(given.get("KUGETSU_FINDINGS", "")))
        chosen = opencode_environment.for_turn(self._environment | given, turn.directory, outside)
        self._note_before(turn)
        chosen[baseline.VARIABLE] = baseline.path(turn.output)
        return Launch(
            argv=tuple(argv),
            set=given | chosen,
            unset=opencode_environment.UNSET,
            cwd=turn.directory,
            stdin=turn.prompt,
            stdout=turn.output,
            stderr=turn.errors,
        )

    def interactive(self, turn: Turn) -> Launch:
        """opencode's own program for terminals, with the user's own configuration and editor."""
        argv = [self.program(), turn.directory, "--session", turn.session]
        if model := turn.model or self._settings.get("KUGETSU_MODEL"):
            argv += ["--model", model]
        given = dict(turn.environment) | opencode_environment.for_terminal(turn.directory)
        return Launch(tuple(argv), given, opencode_environment.UNSET, turn.directory, "", "", "")

    def outcome(self, ended: Ended) -> Outcome:
        """The verdict on a run's end and files."""
        output, errors = read_output(ended.output), read_errors(ended.errors, ended.session)
        judged = judge(output, errors, ended.exit_code, ended.signal, limits.present(), ended.directory)
        full = opencode_environment.full_disk(self._environment)
        if full is not None and judged.kind is Kind.RETRYABLE and not output.steps:
            reason = sentence(f"the disk of opencode's data is full ({full}): {judged.reason}")
            judged = replace(judged, kind=Kind.UNAVAILABLE, reason=reason, gate="agent", remedy=f"df -h {full}")
        before = baseline.read(ended.output)
        gained = usage.gained(usage.stored(self._database(), ended.session), before.get("usage"))
        if output.delegated and isinstance(known := before.get("calls"), int):
            with suppress(store.UnreadableError):
                calls = store.calls_of_sub_agents(self._database(), ended.session)
                add_calls_of_sub_agents(output, calls[known:])
        used = usage.of_turn(output, errors, gained, killed=ended.exit_code is None)
        where = config.Settings(self._environment, ended.directory)
        return refusals.applied(judged.using(used), output.refused, output.tools, errors.rejected, where)

    def commands(self, ended: Ended) -> list[Command]:
        """The calls of its shell tool, those of sub-agents before the end of the call that handed them the work."""
        known = baseline.read(ended.output).get("calls")
        found, delegated = [], False
        for call in calls_of(ended.output):
            delegated = delegated or call.get("tool") == "task"
            found.append((ended_at(call), of_call(call)))
        if isinstance(known, int) and delegated:
            with suppress(store.UnreadableError):
                calls = store.calls_of_sub_agents(self._database(), ended.session)[known:]
                found += [(ended_at(call), of_call(call)) for call in calls]
        return [command for _, command in sorted(found, key=lambda one: one[0]) if command is not None]

    def put_back(self, directory: str, output: str, changed: Collection[str]) -> list[str]:
        """Undoes what opencode wrote into the project's configuration files at its start."""
        files = baseline.read(output).get("files")
        return baseline.put_back(directory, files, changed) if isinstance(files, dict) else []

    def _note_before(self, turn: Turn) -> None:
        """Write down, for `outcome` and `put_back`, what the session had used and how the project is configured."""
        used = usage.as_data(usage.stored(self._database(), turn.session))
        before: dict[str, Any] = {"usage": used, "files": baseline.contents(turn.directory)}
        with suppress(store.UnreadableError):
            before["messages"] = store.messages(self._database(), turn.session)
            before["calls"] = len(store.calls_of_sub_agents(self._database(), turn.session))
        with suppress(OSError):  # a full disk must not keep the agent from working
            baseline.write(turn.output, before)

    def progress(self, output: str, errors: str | None = None) -> Progress:
        """What the agent did last."""
        return last_activity.of_opencode(output, errors)

    def checkup(self, running: Running) -> Checkup:
        """What a silent run is about."""
        seen = check(running, limits.present(), self._was_prompted(running))
        if seen.health is Health.UNKNOWN:
            # Its start may wait for a lock whose holder has ended meanwhile.
            opencode_leftovers.clear_abandoned(self._environment)
        return seen

    def _was_prompted(self, running: Running) -> bool | None:
        """Whether the session has more messages than before the turn; None when that is not known."""
        before = baseline.read(running.output).get("messages")
        with suppress(store.UnreadableError):
            if isinstance(before, int):
                return store.messages(self._database(), running.session) > before
        return None

    # -- small things ---------------------------------------------------------------------------------------------

    def _run(self, *arguments: str, directory: str | None = None) -> opencode_program.Result:
        if arguments[0] == "models":
            environment = opencode_environment.as_configured(self._environment)
        else:
            environment = opencode_environment.for_short_commands(self._environment, str(self._room()))
        # Not in the caller's folder: it would read that project's settings, and index its files.
        where = directory or str(self._room())
        return opencode_program.run(self.program(), arguments, environment, where)

    def _failure(self, what: str, done: opencode_program.Result, hint: str | None = None) -> AgentUnavailable:
        """The error of a short command that failed. A full disk seldom is in its words: SQLite's errors hide it."""
        full = opencode_environment.full_disk(self._environment) if done.exit_code > 0 else None
        if full is not None:
            return AgentUnavailable(f"opencode cannot {what}: the disk of its data is full ({full})", f"df -h {full}")
        return opencode_program.failure(what, done, hint)

    def _database(self) -> Path:
        return opencode_environment.database(self._environment)

    def _room(self) -> Path:
        """The adapter's own folder under KUGETSU_DIR; all in it can be made again."""
        named = self._settings.get("KUGETSU_DIR") or self._environment.get("KUGETSU_DIR") or ""
        room = Path(Paths.of({"KUGETSU_DIR": named}).root) / "agents" / "opencode"
        try:
            room.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise AgentUnavailable(f"cannot make {room}: {error.strerror}", "is KUGETSU_DIR writable?") from error
        return room

    def _locked(self, name: str) -> _Lock:
        return _Lock(self._room() / name)


def _models_hint(said: str) -> str:
    """What helps when opencode cannot list its models: a login does not mend a file or a disk."""
    if error_lines.is_of_a_full_disk(said):
        return "free disk space: df -h"
    return "repair that file" if "onfig" in said else "try: opencode models"


class _Lock:
    """An exclusive lock on a file, waited for; it ends with the process that holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _millis() -> int:
    return time.time_ns() // 1_000_000
