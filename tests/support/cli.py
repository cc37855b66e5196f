"""What the tests of the command line share: running it here or as a process, a scripted server, and a terminal."""

from __future__ import annotations

import gc
import io
import json
import os
import re
import resource
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, NamedTuple, Self

import pytest
from faults.wire import Asked, head, length

from fetchq.cli import interrupts, main

PATIENCE = 60.0
"""Seconds after which a test gives up on a process; no test waits for it to pass."""

ACTIVE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Every character that acts on a terminal, except the newline."""

_OURS = re.compile(
    r"FETCHQ_|(?:.*_)?proxy$|NO_COLOR|FORCE_COLOR|TTY_|COLORTERM|COLUMNS|LINES|NETRC|TERM", re.IGNORECASE
)


class Ended(NamedTuple):
    """How a call of the command line ended."""

    status: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def said(self) -> str:
        return self.err.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The JSON Lines on stdout, in the order of the input."""
        return sorted((json.loads(line) for line in self.out.splitlines()), key=lambda record: record["index"])

    @property
    def record(self) -> dict[str, Any]:
        """The one record on stdout."""
        (record,) = self.records
        return record

    @property
    def problem(self) -> str:
        """The one line that says why nothing was fetched."""
        assert self.status == 2, self
        assert self.out == b""
        assert self.said.count("\n") == 1
        assert self.said.endswith("\n")
        assert self.said.startswith("fetchq: ")
        return self.said.rstrip("\n")


class Cli:
    """The command line in a folder, and with an environment, of its own. Leaving the `with` ends its processes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capture: Any) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capture = capture
        self._processes: list[subprocess.Popen[bytes]] = []
        self._cut_off: list[int] = []
        """What a run in this process wanted to end the process with."""
        monkeypatch.setattr(os, "_exit", self._cut_off.append)
        monkeypatch.setattr(gc, "freeze", lambda: None)  # else what a run here leaves is never collected
        for name in [name for name in os.environ if _OURS.match(name)]:
            monkeypatch.delenv(name)
        home = folder / "home"
        home.mkdir()
        for name, value in {"HOME": home, "XDG_CONFIG_HOME": home / "config", "TERM": "xterm"}.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.chdir(folder)

    def __enter__(self) -> Self:
        self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._thresholds = gc.get_threshold()
        self._handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limit)
        gc.set_threshold(*self._thresholds)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for process in self._processes:
            with process:
                process.kill()

    def write(self, name: str, content: str | bytes) -> str:
        """A file in the folder; returns its name."""
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def __call__(self, *args: str, stdin: bytes | BinaryIO = b"") -> Ended:
        """Call `main` here, in this process."""
        stream = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
        self._monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
        self._capture.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main(list(args))
        out, err = self._capture.readouterr()
        assert self._cut_off == []
        assert isinstance(exit_.value.code, int)
        assert b"Traceback" not in err
        assert left_threads() == []
        return Ended(exit_.value.code, out, err)

    def start(
        self, *args: str, env: Mapping[str, str] | None = None, patch: str = "", **options: Any
    ) -> subprocess.Popen[bytes]:
        """A process of its own, where `patch` is executed first. Warnings are errors there, too."""
        program = ["-c", f"{patch}; import sys; from fetchq.cli import main; main(sys.argv[1:])"]
        command = [sys.executable, "-W", "error", *(program if patch else ["-m", "fetchq"]), *args]
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(command, env={**os.environ, **(env or {})}, **options)
        self._processes.append(process)
        return process

    def run(self, *args: str, stdin: bytes | None = None, **options: Any) -> Ended:
        """A process of its own, to its end."""
        if stdin is not None:
            options["stdin"] = subprocess.PIPE
        return ended(self.start(*args, **options), stdin)

    def on_terminal(
        self,
        *args: str,
        out: bool = True,
        err: bool = True,
        columns: int = 200,
        seen: Callable[[bytes], object] = lambda _: None,
        **options: Any,
    ) -> tuple[int, bytes]:
        """A process whose stdout or stderr, or both, are a terminal: the exit status, and what the terminal got.

        `seen` is called with all that it has got, whenever that is more.
        """
        import fcntl
        import pty
        import termios

        ours, theirs = pty.openpty()
        try:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
            with (self.folder / "beside").open("wb") as beside:
                process = self.start(
                    *args, stdout=theirs if out else beside, stderr=theirs if err else beside, **options
                )
        finally:
            os.close(theirs)
        guard = threading.Timer(PATIENCE, process.kill)
        guard.start()
        got = bytearray()
        try:
            while piece := _read_terminal(ours):
                got += piece
                seen(bytes(got))
            status = process.wait()
        finally:
            guard.cancel()
            guard.join()
            os.close(ours)
        clean(bytes(got))
        return status, bytes(got)

    @property
    def beside(self) -> bytes:
        """What went to the stream that was no terminal, a file."""
        return (self.folder / "beside").read_bytes()


def _read_terminal(ours: int) -> bytes:
    try:
        return os.read(ours, 65536)
    except OSError:  # EIO: nobody has the other end open any more
        return b""


def ended(process: subprocess.Popen[bytes], stdin: bytes | None = None) -> Ended:
    """Wait for the end of a process, and look whether it left in good order."""
    out, err = process.communicate(stdin, timeout=PATIENCE)
    clean(err)
    return Ended(process.returncode, out or b"", err or b"")


def clean(err: bytes | None) -> None:
    """Nothing in it is the interpreter's."""
    for sign in (b"Traceback", b"Exception ignored", b"Fatal Python error", b"Warning"):
        assert sign not in (err or b""), (err or b"").decode(errors="replace")


def left_threads() -> list[str]:
    """The threads that a run should have taken along."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("fetchq-") and name != "fetchq-server"]


class Handled:
    """Counts the signals that runs in this process have dealt with: one to stop, one to give up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._changed = threading.Condition()
        for name in ("_stop_run", "_abort_run"):
            monkeypatch.setattr(interrupts.Interrupts, name, self._counted(getattr(interrupts.Interrupts, name)))

    def _counted(self, deal: Callable[[interrupts.Interrupts], None]) -> Callable[[interrupts.Interrupts], None]:
        def deal_and_count(one: interrupts.Interrupts) -> None:
            deal(one)
            with self._changed:
                self.count += 1
                self._changed.notify_all()

        return deal_and_count

    def wait_for(self, count: int, seconds: float = PATIENCE) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.count >= count, seconds)

    @contextmanager
    def send(self, number: signal.Signals, *whens: Callable[[], object]) -> Iterator[None]:
        """Send this process a signal as each of `whens` returns true, one after the other has been dealt with."""

        def send() -> None:
            for sent, when in enumerate(whens, 1):
                if not when():
                    return
                os.kill(os.getpid(), number)
                while self.count < sent and not over.is_set():
                    # CPython does not see a signal that comes just as its main thread begins to wait for a lock.
                    if not self.wait_for(sent, 1.0) and not over.is_set():
                        os.kill(os.getpid(), number)

        over = threading.Event()
        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


PATIENT = "from fetchq.cli import interrupts; interrupts.GRACE = 3600"
"""A patch for `Cli.start`: after its first signal only a second one ends a run whose server hangs."""


def signal_twice(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal, and once more when the first was dealt with: two in a row may arrive as one."""
    process.send_signal(number)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"stopping: ")
    process.send_signal(number)


def press(process: subprocess.Popen[bytes], number: signal.Signals, *, every: float, seconds: float) -> None:
    """Send a signal again and again until the process ends; fail when it does not."""
    for _ in range(max(1, round(seconds / every))):
        process.send_signal(number)
        try:
            process.wait(every)
        except subprocess.TimeoutExpired:
            continue
        return
    process.kill()
    pytest.fail(f"{number.name} does not end it")


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else gets."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


# --- a scripted server ---------------------------------------------------------------------------------------------


def reply(body: bytes = b"ok", *lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A whole response, after which the connection closes."""
    return head(*lines, b"Connection: close", length(len(body)), status=status) + body


class Scripted:
    """Sends whatever bytes `answer` makes of a request, and hangs up. A context manager."""

    def __init__(
        self, answer: Callable[[Asked], bytes] = lambda _: reply(), *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.log: list[Asked] = []
        """Every request that came whole; written before the answer is made."""
        self.released = threading.Event()
        """For an `answer` that waits; set when the server closes."""
        self._answer = answer
        self._tls = tls
        self._logged = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), self._handle)
        self.port: int = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def hold(self, asked: Asked) -> bytes:
        """An answer that comes once `released` is set."""
        self.released.wait(PATIENCE)
        return reply()

    def wait_for_requests(self, n: int) -> bool:
        with self._logged:
            return self._logged.wait_for(lambda: len(self.log) >= n, PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handle(self, sock: socket.socket, *_: object) -> None:
        with suppress(OSError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with sock, sock.makefile("rb") as stream:
                start = stream.readline().decode("latin-1").split(" ")
                if len(start) < 3:
                    return
                headers = []
                while line := stream.readline().decode("latin-1").rstrip("\r\n"):
                    name, _, value = line.partition(":")
                    headers.append((name, value.strip()))
                asked = Asked(0, start[0], start[1], headers, b"")
                asked = asked._replace(body=stream.read(int(asked.header("Content-Length") or 0)))
                with self._logged:
                    self.log.append(asked)
                    self._logged.notify_all()
                sock.sendall(self._answer(asked))


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 512


# --- a terminal ----------------------------------------------------------------------------------------------------

_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Terminal:
    """What a person sees, all that scrolled away included. Knows only what a progress bar needs: else ValueError."""

    def __init__(self, data: bytes, columns: int = 200) -> None:
        self._columns = columns
        self._rows: list[list[str]] = [[]]
        self._continues: set[int] = set()
        """Rows that a long line went on in."""
        self._y = self._x = 0
        self.drawn = 0
        """How often a row was cleared to be drawn again: what a bar does."""
        self._feed(data.decode())

    @property
    def lines(self) -> list[str]:
        lines: list[str] = []
        for y, row in enumerate(self._rows):
            text = "".join(row)
            if y in self._continues:
                lines[-1] += text
            else:
                lines.append(text)
        return [line.rstrip() for line in lines]

    def _feed(self, text: str) -> None:
        at = 0
        while at < len(text):
            if match := _SEQUENCE.match(text, at):
                self._act(match[1], match[2])
                at = match.end()
                continue
            self._put(text[at])
            at += 1

    def _act(self, what: str, how: str) -> None:
        if how == "A":
            self._y = max(0, self._y - int(what or 1))
        elif (what, how) == ("2", "K"):
            self._rows[self._y] = []
            self.drawn += 1
        elif how != "m" and (what, how) not in (("?25", "l"), ("?25", "h")):
            raise ValueError(f"an escape sequence of somebody else's: {what}{how}")

    def _put(self, character: str) -> None:
        if character == "\r":
            self._x = 0
        elif character == "\n":
            self._down()
        elif ACTIVE.match(character):
            raise ValueError(f"a raw {character!r}")
        else:
            if self._x == self._columns:
                self._x = 0
                self._down()
                self._continues.add(self._y)
            row = self._rows[self._y]
            row += [" "] * (self._x + 1 - len(row))
            row[self._x] = character
            self._x += 1

    def _down(self) -> None:
        self._y += 1
        if self._y == len(self._rows):
            self._rows.append([])
