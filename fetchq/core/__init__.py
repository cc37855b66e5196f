"""Defines what travels through fetchq, its settings, and small helpers without network I/O.

The lowest room: it imports nothing else of fetchq.

    model               Result
      timing            where the time of a row went, in phases
    request             Request; request_parts: makes JSON, params, auth and cookies parts of its URL, headers and body
      checksum          reads the checksum that a body should have
      passed_columns    the columns of a row that go into its record
    cause               why a request failed, and whether a body is complete: the closed sets of words in a record
    record_fields       the fields of a record, from which every format derives its columns
    redirect_hop        what a Result says about a redirect that was followed
    exchange            one request and its response, for HAR and trace
    sent_request        what a web archive needs beside the Result
    stored_response     what an earlier run has stored of a page
    headers             header fields as a mapping; header_text: their values as text
    lazy_headers        header fields that are parsed when they are read
      lazy_field        a field that is kept as it came until then
    kept_bytes          how much memory a Request or a Result takes
    nearest             the word that a misspelt one is likely to be meant for
    known               what was found out about texts that strangers choose, in bounded memory
    fast_dataclass      quick constructors for objects that are made for each row
    included            checks what is to be in a record beside its fields
    unlisted_fields     fields of a dataclass that nobody sees but fetchq
    pydantic_schema     how pydantic, and so FastAPI, writes a Result

    settings            the settings of a run, and which of them contradict each other
      settings_pace     mode and workers, time limits, politeness and retries: each setting once, with its help
      settings_fields   all other settings, likewise
    settings_kwargs     their types as keyword arguments
    option              what a setting is made of
    parsers, quantities, dns_servers, host_patterns     from the text that a person types to a value

    text                makes text safe to show: no control characters, no passwords
    html_table          tables for notebooks; result_html: that of a Result
    charset             decodes the text of a body, whole or piece by piece
    body_spool          a body on its way to the disk; scratch_file: that of a run without a folder
    memory_files        creates files on a file system in memory
    c_library           calls the C library without releasing the GIL
    gil_turns           lets other threads have their turn beside long work
    name_template       fills in the templates for names of files; safe_name: names that are safe everywhere
    atomic_file, disk   files and folders that survive a power cut
    row_set             a set of row numbers
"""
