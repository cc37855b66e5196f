"""Makes a run durable: its folder, its ledger, its input, and the sinks that write records and bodies.

    open_session    begins a run in a folder, or goes on with it; manifest: checks that it is the same run
       |  folder (the lock), input_copy, pipe_copy, program_rows (so that the folder alone is enough to go on)
       v
    session         one process at work on the run
       |  selection: the rows still to fetch; dedupe: equal rows are fetched once; refresh: asks what has changed
       v
      ... the workers fetch ...
       |
       v
    output          where the Results of a run go
    writer          one order: body store, sink, ledger, and then whoever counts
       |  sinks/
       v
    ledger          SQLite: a row is done when it is committed here
       |  schema, ledger_connection, scratch_db
       v
    ledger_reader   reads it, also while the run goes on
    stored_run      records, counts and bodies of a run; export: in another format

`durable_rows` is the same for the rows of a Python program.
"""
