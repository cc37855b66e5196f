"""Decides which request may go now. Everything here is pure: the clock is handed in.

    add                 hold (a retry)
     |                   |
     v                   v
    hosts             delay_queue: retries that are not due, and hosts that must wait
     |  host_key         |
     v                   v
    host_queue        one for each host: its waiting jobs, its limits, and its congestion control
     |  job_queue, congestion, rate_limit, stopwatch
     v
    host_order        the hosts of which a job may go now, in the order in which they are asked
     |  gate: robots_gate, address_gate (what must be known of a host before its rows may go)
     v
    take  ->  a worker makes the attempt  ->  done

`schedule` is the way in, and joins these parts; `job` is what waits. `backlog` says when enough has been read from the
source. All pools share this room, and a test can own the time.
"""
