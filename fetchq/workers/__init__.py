"""Runs the workers: asyncio tasks, threads, or turns in one thread. From a Request to a Result.

    async_run, blocking_run    one run, iterated for its Results; run: what they have in common
       |
       |  source_feed, pipe_reader: read the source into the queue
       v
    request_queue              an asyncio.Queue in the order of the schedule; release_timer wakes it when a job is due
       |
       v
    async_pool | thread_pool | serial_pool      the workers; blocking_pool: what the last two have in common
       |  take a job, have the engine make an attempt
       v
    settle                     the attempt becomes the Result of its row, or the row goes back into the queue
       |
       v
    result_buffer              Results on their way to the one reader of the run, bounded in number and bytes

`run_state` is the only answer to "is it ending?", and `worker_clock` measures each worker. Whether a failure is
repeated is decided in `fetchq.http.retry`.
"""
