"""Write a file whole or not at all: a new file beside it takes its place in one step.

Readers see the old content or the new one. What is written is readable by its owner only unless ``mode`` differs.
Imports nothing: the lean supervisor and `kugetsu status` load it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Self

PRIVATE = 0o600


class NewFile:
    """A file being written beside ``path``: `commit` puts it in place, leaving the block without that removes it.

    ``mode`` holds whatever the umask says; None leaves it to the umask. ``sync``: on the disk before it is in place.
    Every method raises OSError.
    """

    def __init__(self, path: str, *, mode: int | None = PRIVATE, sync: bool = False) -> None:
        self.path = path
        self._sync = sync
        # Random: neither another thread nor what a crash left has this name.
        self._beside: str | None = f"{path}.{os.urandom(4).hex()}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self._beside, flags, 0o666 if mode is None else mode)
        self.file: BinaryIO = open(fd, "wb")  # noqa: SIM115 - closed by commit or at the block's end
        if mode is not None:
            os.fchmod(self.file.fileno(), mode)

    def commit(self, *, overwrite: bool = True) -> None:
        """Put the file in place. Raises FileExistsError without ``overwrite`` if something is there."""
        assert self._beside is not None
        self.file.flush()
        if self._sync:
            os.fsync(self.file.fileno())
        self.file.close()
        if overwrite:
            os.replace(self._beside, self.path)
            self._beside = None
        else:
            os.link(self._beside, self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        import contextlib  # on a start that writes nothing it is not needed

        with contextlib.suppress(OSError):  # a full disk: the write that met it has raised, and the file goes
            self.file.close()
        if self._beside is not None:
            with contextlib.suppress(OSError):  # the error that led here is the one to report
                os.unlink(self._beside)


def write(path: str, content: bytes, *, mode: int | None = PRIVATE, sync: bool = False) -> None:
    """Put ``content`` in the file at ``path``; arguments and errors as `NewFile`."""
    with NewFile(path, mode=mode, sync=sync) as new:
        new.file.write(content)
        new.commit()
