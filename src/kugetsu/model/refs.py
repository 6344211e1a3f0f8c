"""Issue references: one parser, one canonical text, one folder name.

The canonical text is `host/owner/repo#N`. An owner may be a path (`group/subgroup`, as GitLab has it); an IPv6 host
stands in brackets. Host, owner and repository are lowered: GitHub, Gitea and Forgejo tell
no names apart by case, and two spellings of one issue must never become two sessions. Where a plain git server does
tell them apart, `init --repo URL` registers the exact spelling.
"""

from __future__ import annotations

from kugetsu.model.errors import BadInput
from kugetsu.model.servers import (
    AZURE_GIT,
    AZURE_HOST,
    LOCAL,
    canonical_host,
    is_port,
    names_a_server,
    split_port,
    split_scp,
    split_url,
    strip_prefix,
    web_host_of_ssh,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    Here = Callable[[], tuple[str, str, str] | None]
    SshName = Callable[[str], str]

FORMS = "host/owner/repo#14, https://host/owner/repo/issues/14 (or /pulls/14), owner/repo#14, or #14 inside a clone"
"""The accepted forms, as every error shows them."""

MAX_HOST = 253  # RFC 1035
MAX_NAME = 100  # GitHub's limit for a repository; Gitea's is the same, its owners have 40
MAX_LEVELS = 20  # of an owner that is a path: GitLab's limit for subgroups
MAX_DIGITS = 18  # keeps every number within 63 bits
MAX_FOLDER = 200  # bytes; file systems take 255, and git adds suffixes to a worktree's name

_KINDS = ("issues", "issue", "pulls", "pull")
_GITLAB_KINDS = ("issues", "work_items")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")
_ALNUM = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")


class UnknownDefaultServer(BadInput):
    """A reference is to be completed by a default server that nobody knows."""


class IssueRef:
    """One issue (or pull request: they share their numbers) of one repository. Immutable, hashable, always valid.

    Raises BadInput when a part is not a name that a git server would give, so that no reference can name a path
    outside of the folders that are made from it.
    """

    __slots__ = ("host", "number", "owner", "repo")
    host: str
    owner: str
    repo: str
    number: int

    def __init__(self, host: str, owner: str, repo: str, number: int) -> None:
        host, owner, repo = host.lower(), owner.lower(), repo.lower()
        host = _plain_address(host) if host.startswith("[") else host
        wrong = _host_fault(host) or _owner_fault(owner) or _name_fault("repository", repo)
        if wrong is None and not 1 <= number < 10**MAX_DIGITS:
            wrong = "an issue's number is at least 1" if number < 1 else f"the number has over {MAX_DIGITS} digits"
        if wrong is not None:
            _refuse(f"{host}/{owner}/{repo}#{number}", wrong)
        for name, value in (("host", host), ("owner", owner), ("repo", repo), ("number", number)):
            object.__setattr__(self, name, value)

    @property
    def repository(self) -> str:
        """`host/owner/repo`."""
        return f"{self.host}/{self.owner}/{self.repo}"

    def __str__(self) -> str:
        return f"{self.host}/{self.owner}/{self.repo}#{self.number}"

    def __repr__(self) -> str:
        return f"IssueRef({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IssueRef) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an issue reference is immutable: {name}")

    def __reduce__(self) -> tuple[type[IssueRef], tuple[str, str, str, int]]:
        return IssueRef, (self.host, self.owner, self.repo, self.number)


def parse_ref(
    text: str,
    *,
    default_host: str | None = None,
    servers: Mapping[str, str] | None = None,
    here: Here | None = None,
) -> IssueRef:
    """The reference that a user typed.

    `default_host` (a host or a server's name) completes `owner/repo#N`; `servers` maps server names to base URLs;
    `here` is asked for (host, owner, repo) of the clone in which the command was typed, only for `#N` and `N`.
    Raises BadInput, which names what is wrong and shows the accepted forms.
    """
    known = servers or {}
    got, text = text, text.strip()
    if not text:
        _refuse(got, "it is empty")
    if len(text) > 2000:
        _refuse(got, "it is too long")
    if any(c <= " " or c == "\x7f" or c.isspace() for c in text):
        _refuse(got, "it contains spaces or control characters")
    if "://" in text:
        host, segments, number = _from_url(got, text, known)
    else:
        path, mark, number = text.rpartition("#")
        if not mark and "/" in text:
            _refuse(got, "it has no #number")
        if not path:
            return _from_here(got, number, here)
        segments = path.split("/")
        host = _first_host(got, segments, default_host, known)
        if len(segments) == 2 and not names_a_server(host, known):
            said = f"the default server is {_shown(host)}, which is neither a host nor a name of GIT_SERVERS"
            hint = f"kugetsu server default HOST (or first: kugetsu server add {host} URL)"
            raise UnknownDefaultServer(f"not an issue reference: {_shown(got)}: {said}", hint)
        if len(segments) > 2:
            del segments[0]
        if len(segments) > 2 and not names_a_server(host, known):
            _refuse(got, f"{_shown(host)} is neither a host nor a name of GIT_SERVERS, and owner/repo has one slash")
    *owner, repo = segments
    return _build(got, canonical_host(host, known), "/".join(owner), repo, number)


def parse_repository(text: str) -> tuple[str, str, str]:
    """Host, owner (which may be a path) and repository of the canonical text `host/owner/repo`. Raises BadInput."""
    host, *owner, repo = text.split("/") if "/" in text else (text, "")
    if not owner:
        raise BadInput(f"not a repository: {_shown(text)}", "write it as host/owner/repo")
    ref = IssueRef(host, "/".join(owner), repo, 1)
    return ref.host, ref.owner, ref.repo


def folder_name(ref: IssueRef) -> str:
    """The name of the reference's folder: one name, one reference, also where file names ignore case.

    Parts are joined by `+`, which no part contains; other characters than a-z 0-9 . - become `_` and two hex digits
    (`_` itself `__`). Over MAX_FOLDER bytes the end is replaced by `+x` and a digest of the canonical text.
    """
    name = "+".join(_escaped(part) for part in (ref.host, ref.owner, ref.repo, str(ref.number)))
    if len(name) <= MAX_FOLDER:
        return name
    digest = _digest(str(ref))
    return f"{name[: MAX_FOLDER - len(digest) - 2]}+x{digest}"


def find_refs(
    message: str, *, default_host: str | None = None, servers: Mapping[str, str] | None = None
) -> list[IssueRef]:
    """The references that a free text names, each once, the likeliest first.

    The order is that of the first kugetsu: URLs of issues, then `owner/repo#N`, then `host/owner/repo#N`; last URLs of
    pull requests, which often only illustrate. Within a kind, the order of the text. Raises UnknownDefaultServer.
    """
    if "#" not in message and "://" not in message:
        return []
    import re

    found: list[tuple[int, int, IssueRef]] = []
    # A word that contains / and # or ://: what surrounds it in prose is cut off below.
    for match in re.finditer(r"[^\s<>()\[\]{}\"'`,;|]+", message):
        word = match.group().rstrip(".:!?*_")
        word = word.lstrip("*_:!?.")
        if "/" not in word or len(word) > 2000:
            continue
        try:
            ref = parse_ref(word, default_host=default_host, servers=servers)
        except UnknownDefaultServer:
            raise
        except BadInput:
            continue  # prose: a path, a date, some other URL
        found.append((_rank(word), match.start(), ref))
    found.sort(key=lambda item: item[:2])
    return list(dict.fromkeys(ref for _, _, ref in found))


def repository_of_url(
    url: str,
    *,
    servers: Mapping[str, str] | None = None,
    base: str | None = None,
    ssh_name: SshName | None = None,
) -> str | None:
    """`host/owner/repo` of a git remote's URL, None when it has no such name (other protocols and characters).

    Takes https, http, git and ssh URLs, `git@host:owner/repo.git`, and paths (also file URLs), which become
    `local/<parent folder>/<folder>`. Relative paths are relative to `base`. All of the path but its last segment is the
    owner. `ssh_name` gives the host that a host of an ssh URL stands for.
    """
    known = servers or {}
    url = url.strip()
    scheme, host, path = split_url(url)
    if scheme == "file":
        return local_repository("/" + path)
    scp = split_scp(url) if not scheme and "::" not in url.partition("/")[0].partition("[")[0] else None
    if scheme in ("ssh", "git+ssh", "ssh+git") or scp is not None:
        name, path = scp if scp is not None else (split_port(host)[0], path)
        host = web_host_of_ssh(ssh_name(name) if ssh_name is not None else name, known)
    elif scheme in ("http", "https", "git"):
        host = canonical_host(host, known)
    elif scheme or "::" in url:
        return None
    elif url.startswith("/"):
        return local_repository(url)
    elif base is not None and url:
        return local_repository(f"{base}/{url}")
    else:
        return None
    segments = [part for part in path.split("/") if part]
    segments = strip_prefix(split_url(known.get(host, ""))[1] or host, segments, known)
    if host == AZURE_HOST and segments[:1] == ["v3"] and len(segments) == 4:
        segments = [*segments[1:3], AZURE_GIT, segments[3]]
    if len(segments) < 2:
        return None
    try:
        return _build(url, host, "/".join(segments[:-1]), segments[-1], "1").repository
    except BadInput:
        return None


def local_repository(path: str) -> str | None:
    """`local/<parent folder>/<folder>` of a repository that is a folder; None for the root folder.

    Characters that a reference cannot hold become `-`. Two folders may get one name: the place that is registered, or
    in which the command is typed, tells them apart.
    """
    import os.path

    path = os.path.normpath(path)
    if os.path.basename(path) == ".git":
        path = os.path.dirname(path)
    parent, name = os.path.basename(os.path.dirname(path)), os.path.basename(path).removesuffix(".git")
    if not name:
        return None
    return f"{LOCAL}/{_slug(parent or 'root')}/{_slug(name)}"


def _from_url(got: str, text: str, servers: Mapping[str, str]) -> tuple[str, list[str], str]:
    scheme, host, path = split_url(text)
    if scheme not in ("http", "https"):
        _refuse(got, "only http and https URLs name issues")
    segments = strip_prefix(host, [part for part in path.split("/") if part], servers)
    if "-" in segments:  # GitLab: group/subgroup/repository/-/issues/14
        mark = segments.index("-")
        if "merge_requests" in segments[mark:]:
            _refuse(got, "GitLab numbers merge requests separately from issues: name the issue")
        found = mark if len(segments) > mark + 2 and segments[mark + 1] in _GITLAB_KINDS else 0
        number = segments[mark + 2] if found else ""
    else:
        # The kind of page is where a number follows: owners and repositories may be called `issues` too.
        places = range(2, len(segments) - 1)
        found = next((at for at in places if segments[at] in _KINDS and segments[at + 1].isdigit()), 0)
        if not found and len(segments) > 3 and segments[2] in _KINDS:
            found = 2
        number = segments[found + 1] if found else ""
    if found < 2:
        _refuse(got, "the URL is not that of an issue or pull request")
    return host, segments[:found], number


def _first_host(got: str, segments: list[str], default_host: str | None, known: Mapping[str, str]) -> str:
    if len(segments) == 2:
        if default_host is None:
            _refuse(got, "no default server is set (DEFAULT_GIT_SERVER)")
        if segments[0].lower() in {default_host, *known}:
            _refuse(got, f"{_shown(segments[0])} is a server: the owner or the repository is missing")
        return default_host
    if len(segments) > 2:
        return segments[0]
    return _refuse(got, "the owner is missing")


def _from_here(got: str, number: str, here: Here | None) -> IssueRef:
    if not number.isdigit():
        _refuse(got, "it does not name an issue")
    place = here() if here is not None else None
    if place is None:
        _refuse(got, "a number alone needs a clone of its repository as the current folder")
    return _build(got, *place, number)


def _build(got: str, host: str, owner: str, repo: str, number: str) -> IssueRef:
    if not (number.isascii() and number.isdigit()):
        _refuse(got, f"{_shown(number)} is not an issue's number")
    number = number.lstrip("0") or "0"
    if len(number) > MAX_DIGITS:
        _refuse(got, f"the number has over {MAX_DIGITS} digits")
    try:
        return IssueRef(host, owner, repo.lower().removesuffix(".git"), int(number))
    except BadInput as error:
        _refuse(got, error.message.rpartition(": ")[2])


def _plain_address(host: str) -> str:
    """An IPv6 address in brackets (and a port behind it) in its one short form; what is none as it is."""
    name, _ = split_port(host)
    address = _address(name)
    return host if address is None else f"[{address}]{host[len(name) :]}"


def _address(name: str) -> str | None:
    """The IPv6 address that a name in brackets holds, in its short form; None for any other name."""
    from ipaddress import IPv6Address

    try:
        address = IPv6Address(name[1:-1])
    except ValueError:
        return None
    return address.compressed if name.endswith("]") and address.scope_id is None else None


def _host_fault(host: str) -> str | None:
    name, port = split_port(host)
    colon = len(host) > len(name)
    if not name or len(host) > MAX_HOST:
        return "the host is missing" if not name else "the host is too long"
    labels = name.split(".")
    if name.startswith("["):
        if _address(name) is None:
            return f"{_shown(host)} is not a host"
    elif not all(label and label[0] in _ALNUM and label[-1] in _ALNUM and _NAME.issuperset(label) for label in labels):
        return f"{_shown(host)} is not a host"
    if colon and not is_port(port):
        return f"{_shown(port)} is not a port"
    return None


def _owner_fault(owner: str) -> str | None:
    """An owner is one name, or a path of them; `~` begins those of accounts at sr.ht and Bitbucket."""
    levels = owner.split("/")
    if len(levels) > MAX_LEVELS:
        return f"the owner has over {MAX_LEVELS} levels"
    for at, name in enumerate(levels):
        fault = _name_fault("owner", name.removeprefix("~") if len(name) > 1 else name)
        if fault is None and at and name.endswith(".git"):
            fault = f"{_shown(name)} cannot be within the owner"  # our clone of the repository of that name lies there
        if fault is not None:
            return fault
    return None


def _name_fault(what: str, name: str) -> str | None:
    if not name:
        return f"the {what} is missing"
    if len(name) > MAX_NAME:
        return f"the {what} has over {MAX_NAME} characters"
    if name[0] == "-" or name in (".", ".."):
        return f"{_shown(name)} cannot be the {what}"
    if not _NAME.issuperset(name):
        return f"the {what} {_shown(name)} contains characters other than letters, digits, '.', '_' and '-'"
    return None


def _rank(word: str) -> int:
    if "://" in word:
        return 3 if "/pull" in word else 0
    return word.count("/")  # 1: owner/repo#N, 2: host/owner/repo#N


def _escaped(part: str) -> str:
    if _PLAIN.issuperset(part):
        return part
    return "".join(c if c in _PLAIN else "__" if c == "_" else f"_{ord(c):02x}" for c in part)


def _slug(name: str) -> str:
    low = name.lower()
    slug = "".join(c if c in _NAME else "-" for c in low).strip("-.")
    if not slug or len(slug) > MAX_NAME:
        return f"{slug[:60]}x{_digest(name)[:12]}"
    return slug


def _digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _shown(text: str) -> str:
    """What was typed, safe for a terminal and of bounded length."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _refuse(got: str, reason: str) -> NoReturn:
    raise BadInput(f"not an issue reference: {_shown(got)}: {reason}", f"write one of: {FORMS}")
