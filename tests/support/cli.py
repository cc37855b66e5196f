"""Runs the command line, in this process or as one of its own."""

from __future__ import annotations

import gc
import io
import json
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, NamedTuple, Self

import pytest

from fetchq.cli import main
from support.leaks import left_threads
from support.waiting import PATIENCE

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
