"""What values settings take: each function turns a text into a value, and raises ValueError with the reason when it
cannot."""

from __future__ import annotations

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
SINKS = ("desktop", "command", "webhook", "comment")
"""Where notifications can go."""

OPENING = ("missing", "draft", "never")
PUSH_RESCUE = ("commits", "all", "never")
"""Whether kugetsu opens a pull request that the agent did not open: yes, as a draft, or no."""

REACTIONS = ("checks", "reviews", "comments", "conflicts")
"""What of a pull request kugetsu may answer with another turn of the agent."""

NOTICES = (
    *("task_queued", "task_dequeued", "task_started", "task_completed", "task_error", "task_parked", "agent_lost"),
    "loop_held",
)
"""The kinds of notifications."""

DISPOSABLE = "node_modules/ __pycache__/ *.pyc *.pyo *.egg-info/ build/ dist/ target/ *.o *.a *.so *.class"
"""What common build tools make, and make again."""

_MOST = 1_000_000  # no number here means anything beyond it, and arithmetic on times stays within its range


def read_integer(text: str) -> int:
    """A whole number from 0 on."""
    if not (text.isascii() and text.lstrip("+-").isdigit() and len(text) < 20):
        raise ValueError("it is not a whole number")
    number = int(text)
    if number < 0:
        raise ValueError("it is negative")
    if number > _MOST:
        raise ValueError(f"it must be at most {_MOST}")
    return number


def read_positive(text: str) -> int:
    """A whole number from 1 on."""
    number = read_integer(text)
    if number == 0:
        raise ValueError("it must be at least 1")
    return number


def read_cap(text: str) -> int:
    """How many agents may run: from 1 on."""
    number = read_integer(text)
    if number == 0:
        raise ValueError("it must be at least 1; to start nothing, use: kugetsu queue-daemon stop")
    return number


def read_minutes_of_silence(text: str) -> int:
    """Minutes for which a host may be silent: from 1 on, to a week; its daemon is heard of every 20 seconds."""
    number = read_positive(text)
    if number > 7 * 24 * 60:
        raise ValueError("it must be at most 10080, a week")
    return number


def read_large(text: str) -> int:
    """A count that may be beyond `_MOST`: an issue can use tokens by the hundred million."""
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise ValueError("it is not a whole number" if not text.startswith("-") else "it is negative")
    return int(text)


def read_number(text: str) -> float:
    """A number from 0 on."""
    # float() alone would also take nan, inf, 1e9, underscores and other scripts' digits.
    if not text.isascii() or not text.strip("+-").replace(".", "", 1).isdigit() or len(text) > 20:
        raise ValueError("it is not a number")
    number = float(text)
    if number < 0:
        raise ValueError("it is negative")
    if number > _MOST:
        raise ValueError(f"it must be at most {_MOST}")
    return number


def read_duration(text: str) -> float:
    """A number above 0."""
    number = read_number(text)
    if number == 0:
        raise ValueError("it must be more than 0")
    return number


def read_flag(text: str) -> bool:
    """True or false, also as yes, no, on, off, 1, 0."""
    low = text.lower()
    if low in _TRUE:
        return True
    if low in _FALSE:
        return False
    raise ValueError("it is neither true nor false")


def read_text(text: str) -> str:
    """A line of text."""
    if any((c < " " and c != "\t") or c == "\x7f" for c in text):
        raise ValueError("it contains control characters")
    return text


def read_path(text: str) -> str:
    """A path; `~` and `$HOME` at its beginning are the home."""
    import os.path

    text = read_text(text)
    for home in ("$HOME", "${HOME}"):
        if text == home or text.startswith(home + "/"):
            text = "~" + text[len(home) :]
    return os.path.abspath(os.path.expanduser(text)) if text else text


def read_pattern(text: str) -> str:
    """A branch name with {number} in it, and maybe {owner} and {repo}."""
    rest = text
    for field in ("{number}", "{owner}", "{repo}"):
        rest = rest.replace(field, "1")
    if "{number}" not in text:
        raise ValueError("it must contain {number}, so that each issue gets its own branch")
    if "{" in rest or "}" in rest:
        raise ValueError("it may contain {number}, {owner} and {repo}, and no other braces")
    return read_branch(rest) and text


def read_branch(text: str) -> str:
    """A branch name by the rules of `git check-ref-format --branch`; empty for none."""
    bad = any(c <= " " or c in "~^:?*[\\\x7f" for c in text) or ".." in text or "@{" in text or "//" in text
    parts = text.split("/")
    bad = bad or text == "@" or any(part.startswith(".") or part.endswith((".lock", ".")) for part in parts)
    if text and (bad or text[0] in "-/" or text[-1] == "/"):
        raise ValueError("git does not accept it as a branch name")
    return text


def read_patterns(text: str) -> str:
    """Patterns of files, apart by spaces: names with `*`, `?` and `[…]`, or paths from the worktree's top."""
    patterns = read_text(text).split()
    for pattern in patterns:
        parts = pattern.rstrip("/").lstrip("/").split("/")
        if pattern.startswith("!") or any(part in ("", ".", "..") or "**" in part for part in parts):
            raise ValueError(f"{pattern!r} is neither a file name nor a path from the top, such as *.o or out/")
    return " ".join(patterns)


def read_copies(text: str) -> str:
    """Patterns of files to copy, as `read_patterns`; one behind ``!`` leaves out what others before it match."""
    patterns = read_text(text).split()
    for pattern in patterns:
        if not read_patterns(pattern.removeprefix("!")):
            raise ValueError("! stands before a pattern: it is neither a file name nor a path by itself")
    return " ".join(patterns)


def read_verbosity(text: str) -> str:
    """KUGETSU_VERBOSITY."""
    return _one_of(text, "default", "verbose", "quiet")


def read_agent(text: str) -> str:
    """KUGETSU_AGENT."""
    return _one_of(text, "opencode", "command")


def read_forge(text: str) -> str:
    """KUGETSU_FORGE."""
    return _one_of(text, "auto", "off")


def read_opening(text: str) -> str:
    """OPEN_PULL_REQUEST: one of `OPENING`."""
    return _one_of(text, *OPENING)


def read_push_rescue(text: str) -> str:
    """PUSH_RESCUE: one of `PUSH_RESCUE`."""
    return _one_of(text, *PUSH_RESCUE)


def _pairs(text: str) -> dict[str, str]:
    """NAME=VALUE pairs, apart by spaces or commas; names lowered."""
    pairs: dict[str, str] = {}
    for pair in text.replace(",", " ").split():
        name, mark, value = pair.rpartition("=")
        if not mark or not name or not value:
            raise ValueError(f"{pair!r} is not NAME=VALUE")
        pairs[name.lower()] = value
    return pairs


def read_caps(text: str) -> dict[str, str]:
    """Agents by repository: HOST/OWNER/REPO=NUMBER."""
    caps = _pairs(text)
    for name, cap in caps.items():
        if name.count("/") < 2:
            raise ValueError(f"{name!r} is not host/owner/repo")
        if not (cap.isascii() and cap.isdigit() and 0 < int(cap) <= _MOST):
            raise ValueError(f"{cap!r} is not a number of agents from 1 on")
    return caps


def read_files(text: str) -> dict[str, str]:
    """NAME=FILE pairs, apart by spaces or commas; files with their whole path."""
    return {name: read_path(path) for name, path in _pairs(text).items()}


def read_kinds(text: str) -> dict[str, str]:
    """Kinds of servers: HOST=KIND."""
    kinds = _pairs(text)
    for kind in kinds.values():
        if kind not in ("gitea", "forgejo", "github"):
            raise ValueError(f"{kind!r} is not one of gitea, forgejo, github")
    return kinds


def _one_of(text: str, *known: str) -> str:
    if text.lower() not in known:
        refused = f"neither {known[0]} nor {known[1]}" if len(known) == 2 else f"not one of {', '.join(known)}"
        raise ValueError(f"it is {refused}")
    return text.lower()


def _some_of(text: str, known: tuple[str, ...]) -> str:
    chosen = text.replace(",", " ").lower().split()
    for word in chosen:
        if word not in known:
            raise ValueError(f"{word!r} is not one of {', '.join(known)}")
    return " ".join(dict.fromkeys(chosen))


def read_reactions(text: str) -> str:
    """Some of `REACTIONS`."""
    return _some_of(text, REACTIONS)


def read_submodules(text: str) -> str:
    """WORKTREE_SUBMODULES."""
    return _one_of(text, "auto", "never")


def read_label(text: str) -> str:
    """One label's name; empty for none."""
    text = read_text(text).strip()
    if "," in text:
        raise ValueError("it is one label: a comma separates labels")
    return text


def read_accounts(text: str) -> str:
    """Names of accounts, apart by spaces or commas."""
    names = read_text(text).replace(",", " ").split()
    return " ".join(dict.fromkeys(name.removeprefix("@") for name in names))


def read_labels(text: str) -> str:
    """Labels, apart by spaces or commas."""
    return " ".join(dict.fromkeys(read_text(text).replace(",", " ").split()))


def read_sinks(text: str) -> str:
    """Some of `SINKS`."""
    return _some_of(text, SINKS)


def read_notices(text: str) -> str:
    """Some of `NOTICES`."""
    return _some_of(text, NOTICES)


def read_time_of_day(text: str) -> str:
    """``07:00``; empty for never."""
    hours, colon, minutes = text.strip().partition(":")
    if not text.strip():
        return ""
    digits = (
        hours.isascii()
        and hours.isdigit()
        and minutes.isascii()
        and minutes.isdigit()
        and len(hours) < 3
        and len(minutes) == 2
    )
    if not (colon and digits and int(hours) < 24 and int(minutes) < 60):
        raise ValueError("write a time of day as 07:00; empty: never")
    return f"{int(hours):02d}:{minutes}"
