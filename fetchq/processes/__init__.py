"""Fetches one list in several processes, since one Python process uses one CPU core.

feed
 |
 v
distributor     reads the list in a thread, and gives each row to its process
 |
 |  async_rows     reads an async iterable for it
 |  router         finds the process of a row by its host: a host is in one process, and its limits with it
 |  lane_balancer  moves hosts to a process that runs short of rows
 v
process_handle  one process, seen from the run: its pipes, its rows, and what it says
 |
 |  process_rows the rows that wait for the process, and those that it is to finish
 |  starting     starts a process, as a copy of this one where that is safe
 |  task         what the process is told at first, and what it reports at last
 |  messages     what the run and its processes say to each other; transfer encodes rows and Results in it
 v
child           the process: an ordinary run, whose rows come through a pipe
 |
 |  preparing    stores and encodes its Results, where nobody else needs them
 |  sender       sends its messages
 |  gathering    collects them in a run without an event loop
 v
pool            collects the Results of all processes, and goes on where one has died
 |
 |  shares       divides workers, rate and limit_rate; rate_balancer moves parts of the rate to where rows wait
 v
run             the run that a pipeline drives, in a plain thread or in an event loop
"""
