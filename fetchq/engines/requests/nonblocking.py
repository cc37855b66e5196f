"""Sends and receives what a socket takes and has at once, without waiting, and without releasing the GIL.

The methods of `socket` release the GIL for their system call, also if it cannot wait. Another worker's thread then
takes the GIL, and the caller must wait for it again, for the length of several such calls. With the GIL, a worker runs
from the arrival of one response until its next request is sent.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from fetchq.core.c_library import c_library, ctypes

__all__ = ["PIECE", "receive_now", "send_now"]

PIECE = 65_536
"""The most bytes to receive at a time."""
_NOTHING_YET = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR})
_NO_WAIT: int = getattr(socket, "MSG_DONTWAIT", 0)
"""Without it, and it is in no standard, the calls of `socket` are made instead."""
_SEND_FLAGS: int = _NO_WAIT | getattr(socket, "MSG_NOSIGNAL", 0)
"""Without a signal where the other side has closed: a program may have set SIGPIPE to end it."""

_buffers: list[Any] = []
"""Buffers for `_receive` that no thread uses now: as many as threads have received at the same time."""

_DIRECT = ctypes is not None and _NO_WAIT != 0
"""Whether `send` and `recv` of the C library can be called here."""

if _DIRECT:
    _library = c_library()
    _send, _receive = _library.send, _library.recv
    _send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
    _receive.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    _send.restype = _receive.restype = ctypes.c_ssize_t


def send_now(sock: socket.socket, data: bytes) -> int:
    """Send as much as the network takes now. Returns how many bytes that was, 0 if none. Raises OSError.

    TLS sends nothing here, since it releases the GIL in any case.
    """
    if not _DIRECT or type(sock) is not socket.socket:
        return 0
    sent: int = _send(sock.fileno(), data, len(data), _SEND_FLAGS)
    if sent < 0:
        _check(ctypes.get_errno())
        return 0
    return sent


def receive_now(sock: Any) -> bytes | None:
    """The bytes that have arrived, at most `PIECE`, and empty at the end of the connection; None if there are none yet.

    `sock` is non-blocking. Raises OSError; TLS also raises SSLWantReadError and SSLWantWriteError if it must wait.
    """
    if not _DIRECT or type(sock) is not socket.socket:
        try:
            data: bytes = sock.recv(PIECE)
        except BlockingIOError:
            return None
        return data
    try:
        buffer = _buffers.pop()
    except IndexError:
        buffer = ctypes.create_string_buffer(PIECE)
    received = _receive(sock.fileno(), buffer, PIECE, _NO_WAIT)
    if received < 0:
        _buffers.append(buffer)
        _check(ctypes.get_errno())
        return None
    data = ctypes.string_at(buffer, received)
    _buffers.append(buffer)
    return data


def _check(problem: int) -> None:
    """Raise the OSError of a call that failed for another reason than that it would have to wait."""
    if problem not in _NOTHING_YET:
        raise OSError(problem, os.strerror(problem))
