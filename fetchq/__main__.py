"""Starts the command line: `python -m fetchq`, and the console script."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line and exit. Ctrl-C ends it with 130 and without a word, also while it is being imported."""
    try:
        import signal

        signal.signal(signal.SIGINT, _exit_interrupted)  # until the command line installs its own handler
        from fetchq.cli import main as run
    except KeyboardInterrupt:
        _exit_interrupted()
    run()


def _exit_interrupted(*_: object) -> None:
    os._exit(130)  # nothing has begun yet; an exception could be swallowed or shown by code that is being imported


if __name__ == "__main__":
    main()
