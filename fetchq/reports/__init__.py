"""Numbers about runs, comparisons of runs, and how both are shown."""
