"""Runs the workers, which have attempts made and turn them into Results.

    mode async                        threads               sync

    async_run                         blocking_run          blocking_run       iterates one run for its Results
    source_feed                       pipe_reader           pipe_reader        reads the source
    request_queue, release_timer      the schedule itself, under a lock        what workers take jobs from
    async_pool                        thread_pool           serial_pool        the workers
    result_buffer                     result_buffer                            Results until the run's reader takes them

    shared_run      fetches the rows of all calls of a Client; call: one of them; call_rows: reads its rows
    result_map      calls a function of the user's with each Result

    run             what the runs of all modes have in common; blocking_pool: what the last two pools have
    run_state       whether a run is running, draining, aborting or ended
    settle          turns an attempt into the Result of its row, or puts the row back for a retry
    failure_limit   ends a run once so many rows have failed
    retry_event     what is told of an attempt that is followed by another one
    archived_request  describes the request that was sent, for a web archive
    exchange_log    collects the requests of a row and their responses, for HAR and trace
    free_thread     calls blocking code where an event loop is running
    process         the event loop and the garbage collector of a process that only fetches

    worker_clock    measures what each worker does
    phase_totals    adds up the phases of all attempts
    idle_time       divides the time of workers without a job by the reason
    loop_monitor    measures how late the event loop is, and names what blocks it; blocking_code finds the function

Modes `threads` and `sync` are also driven from an event loop: `async_run` then waits for a `blocking_run`. Whether a
failure is retried is decided in `fetchq.http.retry`.
"""
