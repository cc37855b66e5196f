"""Counts and compares runs, and formats the numbers, in one pass and in constant memory.

Results that are done -> summary -> summary_text    the summary of one run; results: the list of its Results
                                                                   (data_frames: as a table for pandas or polars)
  histogram         the distribution of its times
the workers' clocks -> attribution -> diagnosis -> verdict      what limited it
  diagnosis         the rules, and their order; the sentences are in diagnosis_held, _machine and _network
  run_facts         what the rules look at
  estimate          how long the run would take with other settings
  attribution_text  the attribution as a line
  session_record    what a durable run keeps of both
the runs of a comparison -> measurements -> comparison      which is faster, by the test in statistics
  compare_cells     the table, for compare_text, compare_markup (Markdown, HTML); compare_json
  conclusion        what it shows, in sentences
  timeline_text     who fetched what when
Results, and at the end the summary -> view    the files that show one run: har, trace (json_file writes both), html/
two durable runs -> diff -> diff_text

progress_bar: the bar of the command line and of `progress=True`
text: numbers, a Result and tables as text, for all of these; rest_of_run: what `await run.summary` waits for
"""
