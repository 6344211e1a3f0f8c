"""What CPython has behind `signal`, `socket`, `threading`, `weakref`, `hashlib`, `json` and `collections.abc`: the one
place that uses private modules.

The public modules are written in Python around these and load `enum` and `re`, or all of `collections`. They add to
each start, in units of `python -c pass` (paired runs): signal 0.45, threading and weakref 0.35, hashlib 0.25, json 0.7,
collections.abc 0.15. `kugetsu status` would take more than the 4 that it may, and the supervisor 0.8 MB more for each
agent.
Another interpreter gets the public ones.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable, Mapping
    from threading import RLock
    from typing import Any
    from weakref import ref
else:
    try:
        import _signal as signal
        import _socket as socket
        from _collections_abc import Mapping
        from _thread import RLock
        from _weakref import ref
    except ImportError:
        import signal
        from collections.abc import Mapping
        from threading import RLock
        from weakref import ref

__all__ = ["Mapping", "RLock", "json_parts", "ref", "sha256", "signal", "socket"]


def sha256() -> Callable[[bytes], Any]:
    """SHA-256 without OpenSSL: `_sha2` since Python 3.12."""
    for name in ("_sha256", "_sha2", "hashlib"):
        try:
            found: Callable[[bytes], Any] = __import__(name).sha256
        except ImportError:
            continue
        return found
    raise ImportError("hashlib")


def json_parts() -> Any:
    """The module with `make_scanner`, `make_encoder` and `encode_basestring`; None where there is none."""
    try:
        return __import__("_json")
    except ImportError:
        return None
