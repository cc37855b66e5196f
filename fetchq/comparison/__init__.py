"""Runs the same list in several variants, in rounds, and finds out which of them are faster.

    settings in several ways -> variants
       |
       v
    rounds         the order of the runs; each is a process of its own:
       |
       |  process   starts it, and ends it if this process is interrupted
       |  row_file  the list, in a file without a name that both have open
       |  outcomes  what became of each row, in another such file
       v
    child          the process: fetches the list with a pipeline, and reports a `MeasuredRun`
       |
       v
    fetchq.reports.comparison: the figures, and how they are shown

`compare` is the function for Python callers; `options` says how often the list is fetched, and how much of it.
"""
