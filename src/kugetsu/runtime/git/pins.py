"""The settings that kugetsu's git gets, whatever the user's or the repository's configuration contains.

They fix the output of commands that are parsed, and disable what a repository's own configuration would run, because an
agent may have written it: kugetsu inspects, saves and removes a worktree without running anything that the repository
names. The rule for what runs:

- Every call: no hooks, no file system monitor, no signature check, no external diff. A filter (`filter.NAME.clean` …)
  runs when the user's own configuration (system, global, GIT_CONFIG_COUNT) defines it, or when it is a known program
  (git-lfs, git-crypt) in PATH; others that only the repository defines are skipped. A file that such a filter would
  change is saved as it is: nothing is lost.
- Checking out a worktree (``checkout=True``): hooks and filters run as configured, as for a `git worktree add` that
  the user types. Husky, git-lfs and the like need that.
- Fetching: the clone's own access to its remote is used (core.sshCommand, credential helpers, url.….insteadOf,
  proxies), because per-clone keys are set up there. Protocols are allowed by the user's configuration only.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping

from kugetsu.runtime.git import checkouts, child

OUTPUT = (
    ("color.ui", "false"),
    ("column.ui", "never"),
    ("core.quotePath", "false"),
    ("i18n.commitEncoding", "UTF-8"),
    ("i18n.logOutputEncoding", "UTF-8"),
    ("log.showSignature", "false"),  # gpg's words would stand before the commit's, and gpg.program would run
    ("status.relativePaths", "false"),
    ("status.showStash", "false"),
    ("diff.noprefix", "false"),
)
"""Settings that change the output of parsed commands. What options fix (formats, `-z`, `--untracked-files`) needs
none."""

NO_BACKGROUND = (
    ("core.fsmonitor", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
)
"""What would start work that outlives the command."""

STILL = (
    ("core.hooksPath", "/dev/null"),
    ("core.untrackedCache", "false"),
    ("core.alternateRefsCommand", ":"),
    ("diff.external", ""),
    ("submodule.recurse", "false"),
)
"""What would run programs, or answer from a cache."""

POINTERS = {"GIT_LFS_SKIP_SMUDGE": "1"}
"""The environment of git that makes a worktree: files that git-lfs keeps elsewhere come as the commit has them, and get
their content from the server when the worktree is made ready (`worktree_setup.large_files`). Without it a server that
is down would fail the checkout."""

OWN_SCOPES = ("local", "worktree")
"""The scopes of the repository's own configuration in `git config --show-scope`."""

_COMMANDS = ("clean", "smudge", "process")
_EXT = "protocol.ext.allow"  # its "URL" is a command line
_KNOWN_FILTERS = ("git-lfs", "git-crypt")
_PLAIN = re.compile(r"[\w./%= \"'-]*\Z")  # nothing that a shell would take for more than words
_NAMES_MORE = re.compile(rb"^\s*\[\s*(filter|include|includeif|protocol)\b", re.IGNORECASE | re.MULTILINE)
_INCLUDES = re.compile(rb"^\s*\[\s*include", re.IGNORECASE | re.MULTILINE)
_ASKED = r"^(filter\..*|protocol(\..*)?\.allow)$"

_cache: dict[tuple[str, ...], list[tuple[str, str]]] = {}


def for_checkout() -> list[tuple[str, str]]:
    """The settings for checking out files as the user's git does."""
    return [*OUTPUT, *NO_BACKGROUND]


def of(checkout: checkouts.Checkout | None) -> list[tuple[str, str]]:
    """The settings for a command that runs nothing of the repository's own configuration."""
    found = [*OUTPUT, *NO_BACKGROUND, *STILL]
    if checkout is not None:
        found += _against_own(checkout)
    return found


def _against_own(checkout: checkouts.Checkout) -> list[tuple[str, str]]:
    """Settings that undo the filters and protocols defined only by the repository's own configuration."""
    files = [
        checkout.common_dir + "/config",
        checkout.git_dir + "/config.worktree",
        *_of_submodules(checkout.git_dir),
        *(_of_submodules(checkout.common_dir) if checkout.git_dir != checkout.common_dir else ()),
    ]
    texts = {path: text for path in files if _NAMES_MORE.search(text := checkouts.read_bytes(path))}
    if not texts:
        return []
    # A process makes many calls on one repository; a setting that an included file has is asked for each time.
    key = tuple(f"{path}\0{text!r}" for path, text in texts.items())
    if any(_INCLUDES.search(text) for text in texts.values()):
        return list(_asked(checkout, texts))
    if key not in _cache:
        _cache.clear()
        _cache[key] = list(_asked(checkout, texts))
    return _cache[key]


def _asked(checkout: checkouts.Checkout, texts: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    for path in texts:
        of_submodule = path not in (checkout.common_dir + "/config", checkout.git_dir + "/config.worktree")
        git_dir = os.path.dirname(path) if of_submodule else checkout.git_dir
        users: dict[str, str] = {}
        own: dict[str, str] = {}
        for scope, name, value in settings_of(_ASKED, git_dir, {"GIT_DIR": git_dir}):
            (own if scope in OWN_SCOPES else users)[name] = value
        for section in sorted({name.rpartition(".")[0] for name in own if name.startswith("filter.")}):
            yield from _filter(section, own, users)
        if any(name.startswith("protocol.") for name in own):
            yield _EXT, users.get(_EXT, users.get("protocol.allow", "never"))


def _filter(section: str, own: dict[str, str], users: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Settings that replace a filter of the repository by the user's own, or by none."""
    names = {key: f"{section}.{key}" for key in _COMMANDS}
    if all(_is_known(own[name]) for name in names.values() if name in own):
        return
    for name in names.values():
        if name in users or name in own:
            yield name, users.get(name, "")
    # With a `process`, even an empty one, git uses no `clean`: no filter, and none required.
    overridden = names["process"] in own and names["process"] not in users
    yield f"{section}.required", "false" if overridden else users.get(f"{section}.required", "false")


def settings_of(pattern: str, cwd: str, env: Mapping[str, str] | None = None) -> Iterator[tuple[str, str, str]]:
    """(scope, name, value) of the settings that match a pattern, the effective one last."""
    answer = child.run(["config", "-z", "--show-scope", "--get-regexp", pattern], cwd, env=env)
    fields = answer.out.split("\0")
    for scope, setting in zip(fields[::2], fields[1::2], strict=False):
        name, _, value = setting.partition("\n")
        yield scope, name, value


def _is_known(command: str) -> bool:
    """Whether a filter's command is one of the known programs and nothing else."""
    if not _PLAIN.match(command):
        return False
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    if words[:2] == ["git", "lfs"]:
        words = ["git-lfs", *words[2:]]
    program = os.path.basename(words[0]) if words else ""
    installed = shutil.which(program) if program in _KNOWN_FILTERS else None
    return installed is not None and words[0] in (program, installed)


def _of_submodules(git_dir: str) -> Iterator[str]:
    """The configuration files of the submodules in a git folder."""
    folders = [git_dir + "/modules"]
    while folders:
        folder = folders.pop()
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        if "HEAD" in names:
            yield folder + "/config"
            names = ["modules"]
        folders += [f"{folder}/{name}" for name in names]
