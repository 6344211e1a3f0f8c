"""How a host that shares the log is called.

Events have its id, since a name may change: their words have the first digits of the id, until whoever shows them
knows the name.
"""

from __future__ import annotations


def short(host: str) -> str:
    """The first digits of a host's id, enough to tell hosts apart."""
    return host[:8]


def by_id(host: str) -> str:
    """The host in a sentence, while its name is not known."""
    return f"host {short(host)}"


def named(text: str, host: str, name: str) -> str:
    """Sentences with the host's ``name`` in place of what `by_id` calls it."""
    return text.replace(by_id(host), f"host {name}")
