"""Which request may go now: pure decisions, with the clock handed in."""
