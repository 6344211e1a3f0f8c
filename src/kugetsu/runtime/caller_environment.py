"""What a surrounding git command (a hook, an alias, `git rebase --exec`) leaves in the environment of its children.

It names that command's repository, index and author. Nothing that kugetsu starts works there: agents have their own
worktree, and the daemon outlives the command. `workspace.outside` removes these names once, for agents, daemon,
runners, health checks and notification commands; `git.child` does for kugetsu's own git.

What users set on purpose stays: GIT_SSH_COMMAND, GIT_SSH, GIT_ASKPASS, GIT_CONFIG_GLOBAL, GIT_CONFIG_SYSTEM,
GIT_CONFIG_NOSYSTEM, GIT_CONFIG_COUNT with its KEY and VALUE pairs, GIT_ALLOW_PROTOCOL, GIT_HTTP_*, GIT_SSL_*,
GIT_PROXY_*, GIT_TEMPLATE_DIR, GIT_TRACE*, EMAIL, proxies. An env file reaches the agent whatever it names.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: `git rev-parse --local-env-vars` up to git 2.50, but for GIT_CONFIG_COUNT: with it users pass settings.
_REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",  # what `git -c` passes on: meant for that one command
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)

#: What names a repository, or a part of one, without being in git's own list.
_PLACE = (
    "GIT_ATTR_SOURCE",  # a tree of that repository
    "GIT_CEILING_DIRECTORIES",  # kugetsu sets its own, so that a worktree without .git is not taken for one above it
    "GIT_INDEX_VERSION",  # of an index that is written for the first time, in that repository
    "GIT_NAMESPACE",
    "GIT_QUARANTINE_PATH",  # set while a push is received: git refuses to update any ref
)

#: Who commits, and when: `git commit` and `git rebase` export those of the commit that they make, also of another
#: person's. A standing identity is in git's configuration, or in an env file.
_IDENTITY = (
    "GIT_AUTHOR_DATE",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_NAME",
    "GIT_COMMITTER_DATE",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_NAME",
)

#: How that one command runs.
_COMMAND = (
    "GIT_EXEC_PATH",  # another git, which PATH names, would run the subcommands of this one
    "GIT_EXTERNAL_DIFF",  # `git difftool` sets it
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_PAGER_IN_USE",  # colours in what no pager shows
    "GIT_PROTOCOL_FROM_USER",  # `git submodule` sets it: local clones are refused
    "GIT_REFLOG_ACTION",
)

FOREIGN = frozenset((*_REPOSITORY, *_PLACE, *_IDENTITY, *_COMMAND))
"""Every name that is not inherited."""


def without(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment without what a surrounding git command left; the same object if it left nothing."""
    if FOREIGN.isdisjoint(environment):
        return environment
    return {name: value for name, value in environment.items() if name not in FOREIGN}
