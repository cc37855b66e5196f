"""Golden runs of the command line: what it said when they were recorded, and what runs them again.

`cases` has the command lines, `server` the answers that they get, `play` runs them, and `mask` takes out what varies.
"""
