"""Starts the command line: `python -m fetchq`, and the console script."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line and exit. SIGINT and SIGTERM exit silently with 130 and 143, even during the imports."""
    try:
        import signal

        for number in (signal.SIGINT, signal.SIGTERM):  # until the command line installs its own handlers
            signal.signal(number, _exit_interrupted)
        from fetchq.cli import main as run

        run()
    except KeyboardInterrupt:
        _exit_interrupted(2)


def _exit_interrupted(number: int, *_: object) -> None:
    os._exit(128 + number)  # nothing has begun; code that is being imported could swallow or print an exception


if __name__ == "__main__":
    main()
