"""Decides which request may go now. There is no I/O, and the time is a parameter.

    schedule            what workers call: add, take, sent, done, and hold for a retry
      job               a waiting Request, with what its attempts have cost so far
      backlog           how many jobs wait, and so whether more of the source should be read
      rate_limit        how many attempts may start in a second, in the whole run
      delay_queue       retries that are not due, and hosts that may not be asked yet
      gate              what must be known of a host before its rows may go: robots_gate, address_gate
      host_order        the hosts of which a job may go now, in the order in which they are asked
      hosts             the queues of all hosts, by their host_key
        host_queue      one host: its limits, and what its answers have shown
          job_queue     its jobs, in order
          congestion    how much the host bears
            host_rate     as how many starts a second, once it has refused
            reachability  whether it can be connected to
          stopwatch     for how long it was held back
        host_load       how many attempts a host got, and how long they took
      held              what the waiting jobs wait for: limit names it

A job comes in by `add`, goes into the queue of its host, and that into the order of hosts or, if it must wait, into the
delay queue. All modes use the same code; tests set the time.
"""
