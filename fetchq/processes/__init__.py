"""Fetches one list in several processes, since one Python process uses one CPU core.

  feed -> router -> a queue of rows for each process -> processes -> Results -> batches, as of a run in one process

run         the run that a pipeline drives, in a plain thread or in an event loop
pool        reads the list, deals out its rows, and collects the Results; goes on where a process has died
router      which process fetches which hosts: a host is in one process, and all of its limits with it
shares      how the limits of the whole run (workers, rate, limit_rate) are divided among the processes
member      one process, seen from the run: its pipes, its rows, and what it says
child       the process: an ordinary run, whose rows come through a pipe
messages    what the run and the processes say to each other; transfer encodes rows and Results in it
task        what a process is told at first, and what it reports at last
"""
