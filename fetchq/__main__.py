"""`python -m fetchq`, and the console script: the way into the command line."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line and exit. Ctrl-C ends it with 130 and without a word, also while it is being imported."""
    try:
        import signal

        signal.signal(signal.SIGINT, _leave)  # until the command line has a better way to end
        from fetchq.cli import main as run
    except KeyboardInterrupt:
        _leave()
    run()


def _leave(*_: object) -> None:
    os._exit(130)  # nothing was begun yet; an exception could be lost, or shown, by what is being imported


if __name__ == "__main__":
    main()
