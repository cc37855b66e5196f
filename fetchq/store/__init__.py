"""Makes a run durable: its folder, its ledger, its input, and the sinks that write records and bodies.

begin, or go on
  open_session      opens the session of a run in its folder
  session           one process at work on the run
  folder            what is in the folder, and the lock on it; wiping deletes the run in it
  manifest          what the run was begun with, and whether a resumed run matches it
  input_copy        makes the input available to later sessions; pipe_copy copies a pipe as it comes
  program_rows      keeps the rows of a Python program

what is fetched
  selection         the rows that this session still has to fetch
  dedupe            rows with the same request: the first is fetched, the others get copies of its Result
  parts             finds the beginnings of bodies that earlier sessions have stored
  refresh           looks up what an earlier run has stored of a page
  scratch_db        a temporary database for the last two

what is written
  output            where the Results of a run go; durable_rows: those of a Python program's durable run
  record_bodies     keeps bodies readable until records that include them are written
  writer            body store, then sink, then ledger, and then whoever counts
  sinks/            the formats of records, and the ways to store bodies
  ledger            a row is done when it is committed here
  schema            its tables; inserts fills them, and ledger_connection opens the file

what is read
  ledger_reader     the ledger, also while the run goes on
  stored_run        records, counts and bodies of a run; stored_file finds one, stored_headers reads headers
  export            the records in another format
"""
