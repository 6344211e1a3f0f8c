"""The old `repos.json`: a repository's clone URL, by the issues that asked for it."""

from __future__ import annotations

from kugetsu.domain.state import State
from kugetsu.model.errors import BadInput
from kugetsu.model.refs import repository_of_url
from kugetsu.runtime.bash_import.model import Naming, PlanBuilder, Record, TakeRepository
from kugetsu.runtime.bash_import.reading import OldDirectory

_FILE = "repos.json"


def plan(old: OldDirectory, builder: PlanBuilder, naming: Naming, state: State) -> dict[str, set[str]]:
    """Plan the registrations; returns, by repository, the names that its clones have by their URLs."""
    entries = builder.json(old, _FILE, "repository", dict, "it is not an object of issue and clone URL") or {}
    urls: dict[str, set[str]] = {}
    read: list[tuple[Record, str, str]] = []
    for key, value in entries.items():
        record = Record(_FILE, "repository", {key: value}, naming.issue_or_none(key))
        try:
            repository, url = naming.repository(key), _url(builder, value, naming)
        except BadInput as problem:
            builder.unclear(record, problem.message)
            continue
        urls.setdefault(repository, set()).add(url)
        read.append((record, repository, url))
    told: set[str] = set()
    for record, repository, url in read:
        notes = [] if url in record.value.values() else ["its password was omitted: set up a git credential helper"]
        if len(urls[repository]) > 1:
            builder.unclear(record, f"{repository} has {len(urls[repository])} different URLs: kugetsu init --repo URL")
        elif repository in told:
            builder.kept(record, f"{repository} already exists")
        elif state.repositories.get(repository, {"url": url}) != {"url": url}:
            place = state.repositories[repository]
            builder.kept(record, f"{repository} is {place.get('path') or place.get('url')} here, which stays")
        else:
            builder.taken(record, TakeRepository(repository, url), f"repository {repository}", notes)
        told.add(repository)
    return {
        name: {repository_of_url(url, servers=naming.servers) or "" for url in found} for name, found in urls.items()
    }


def _url(builder: PlanBuilder, value: object, naming: Naming) -> str:
    """A clone URL without a password. Raises BadInput for what git could not clone."""
    if not isinstance(value, str) or not value.strip() or value.startswith("-") or not value.isprintable():
        raise BadInput(f"{str(value)[:80]!r} is not a clone URL")
    url = builder.funnel.usable(value.strip())
    if "[redacted]" in url or (not url.startswith("/") and repository_of_url(url, servers=naming.servers) is None):
        raise BadInput(f"{url[:200]!r} is not a usable clone URL")
    return url
