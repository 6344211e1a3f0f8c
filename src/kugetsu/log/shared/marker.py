"""The marker that makes a log's folder the mirror of a shared log: it names the database.

Readable by its owner only, since the URL may hold a password. It is not part of the log, an export or a bundle.
"""

from __future__ import annotations

import os

from kugetsu.log.files.segments import SHARED, is_shared, read_sealed
from kugetsu.model.errors import KugetsuError
from kugetsu.model.record import value


@value
class Marker:
    """``url``: the database as libpq takes it, ``postgresql://…`` or ``host=… dbname=…``; never to be shown whole."""

    url: str


def read(directory: str) -> Marker | None:
    """The marker of a log's folder; None if the log is not shared. Raises KugetsuError for one that is not whole."""
    path = os.path.join(directory, SHARED)
    if not is_shared(directory):
        return None
    content = read_sealed(path)
    if content is None or not isinstance(content.get("url"), str):
        raise KugetsuError(
            f"{path}, which names the shared log's database, cannot be read or is not whole",
            "make it readable, or join again: move the log's folder away, then `kugetsu init --join URL`",
        )
    return Marker(content["url"])


def secrets(directory: str) -> list[str]:
    """The passwords in the marker's URL, as they are and as the URL writes them; none if it is not readable."""
    try:
        found = read(directory)
    except KugetsuError:
        return []
    return passwords_in(found.url) if found is not None else []


def passwords_in(url: str) -> list[str]:
    """The passwords in a URL or in `name=value` words, as they are and as they are written. Loads no driver, nor what
    else `kugetsu status` would wait for."""
    _, is_url, rest = url.partition("://")
    if is_url:
        user, _, _ = rest.partition("/")[0].partition("?")[0].rpartition("@")
        written = [user.partition(":")[2]]
        written += [pair[9:] for pair in rest.partition("?")[2].split("&") if pair.startswith("password=")]
    else:
        value = url.partition("password=")[2]
        written = [value[1:].partition("'")[0] if value.startswith("'") else (value.split() or [""])[0]]
    found = [text for text in written if text]
    if any("%" in text for text in found):
        from urllib.parse import unquote

        found += [unquote(text) for text in found]
    return found


def write(directory: str, marker: Marker) -> None:
    """Make the folder a mirror: from here on no log in files appends to it. Raises LogWriteFailed."""
    from kugetsu.host import atomic
    from kugetsu.log.codec import GENESIS, seal
    from kugetsu.log.files.append import failed
    from kugetsu.model import jsontext

    line, _ = seal(GENESIS, jsontext.dumps({"url": marker.url})[:-1])
    try:
        atomic.write(os.path.join(directory, SHARED), line, sync=True)
    except OSError as error:
        raise failed(error, "the marker of the shared log cannot be written") from error


def remove(directory: str) -> None:
    """Make the folder a log in files again. Raises LogWriteFailed."""
    from kugetsu.log.files.append import failed

    try:
        os.unlink(os.path.join(directory, SHARED))
    except OSError as error:
        raise failed(error, "the marker of the shared log cannot be removed") from error
