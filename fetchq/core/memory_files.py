"""Creates files on a file system in memory, without releasing the GIL.

The functions of `os` release the GIL for their system call, so that other threads can run while it waits. Then they
must get the GIL back, which takes many times as long as the call itself beside a busy event loop. On a file system in
memory a call waits for nothing, and is over before another thread has even woken up. On any other it may wait for a
disk or a server, for which an event loop must never wait.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from fetchq.core.body_spool import create_file
from fetchq.core.c_library import c_library, ctypes
from fetchq.core.disk import PRIVATE_FILE

__all__ = ["MemoryFiles", "memory_files"]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


class MemoryFiles:
    """The calls for files in memory, on Linux. They keep the GIL. A call that fails is made again through `os`."""

    def __init__(self) -> None:
        library = c_library()  # elsewhere than on Linux, its `open` may not take the mode as an int
        self._open, self._close = library.open, library.close
        self._write = library.write
        self._write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
        self._write.restype = ctypes.c_ssize_t

    def create(self, path: str, data: bytes) -> None:
        """Create a file, as `create_file` does, but leave none that is incomplete. Raises OSError."""
        descriptor = self._open(os.fsencode(path), _NEW, PRIVATE_FILE)
        if descriptor >= 0:
            written, failed = self._write(descriptor, data, len(data)), self._close(descriptor)
            if written == len(data) and not failed:
                return
            os.unlink(path)
        try:
            create_file(path, data)
        except FileExistsError:
            raise
        except OSError:
            with suppress(OSError):
                os.unlink(path)
            raise


def memory_files(folder: str | os.PathLike[str]) -> MemoryFiles | None:
    """The calls for files in this folder, or in its subfolders; None if it is not in memory, or without ctypes.

    Raises OSError.
    """
    return MemoryFiles() if ctypes is not None and _is_in_memory(folder) else None


def _is_in_memory(folder: str | os.PathLike[str]) -> bool:
    """Whether the folder is on a file system in memory, by the mount table of Linux (see proc_pid_mountinfo(5))."""
    if sys.platform != "linux":
        return False
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            found = [line.partition(" - ")[2].split(" ", 1)[0] for line in mounts if line.split(" ", 3)[2] == number]
    except OSError:
        return False
    return bool(found) and _IN_MEMORY.issuperset(found)
