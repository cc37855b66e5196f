"""Starts the command line: `python -m fetchq`, and the console script."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line and exit. Ctrl-C exits silently with 130, even while modules are being imported."""
    try:
        import signal

        signal.signal(signal.SIGINT, _exit_interrupted)  # until the command line installs its own handler
        from fetchq.cli import main as run
    except KeyboardInterrupt:
        _exit_interrupted()
    run()


def _exit_interrupted(*_: object) -> None:
    os._exit(130)  # nothing has begun; code that is being imported could swallow or print an exception


if __name__ == "__main__":
    main()
