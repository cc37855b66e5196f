"""`python -m fetchq`."""

from fetchq.cli import main

if __name__ == "__main__":
    main()
