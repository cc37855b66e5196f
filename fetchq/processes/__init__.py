"""Fetches one list in several processes, since one Python process uses one CPU core.

feed -> dealer -> a queue of rows for each process -> processes -> Results -> batches, as of a run in one process

run         the run that a pipeline drives, in a plain thread or in an event loop
pool        starts the processes, and collects their Results; goes on where one has died
dealer      reads the list in a thread, and gives each row to its process; async_rows reads an async iterable for it
router      which process fetches which hosts: a host is in one process, and all of its limits with it
shares      how workers, rate and limit_rate are divided; balancer moves parts of the rate to where rows wait
starting    starts a process: as a copy of this one where that is safe
member      one process, seen from the run: its pipes, its rows, and what it says
child       the process: an ordinary run, whose rows come through a pipe
  preparing stores and encodes its Results, where nobody else needs them
  gathering collects them in a run without an event loop
messages    what the run and the processes say to each other; transfer encodes rows and Results in it
task        what a process is told at first, and what it reports at last
"""
