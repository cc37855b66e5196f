"""What travels through fetchq, its settings, and small helpers that do no network I/O."""
