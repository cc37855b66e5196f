"""Defines what travels through fetchq, its settings, and small helpers that do no network I/O.

The lowest room: it imports nothing else of fetchq's.

    settings, settings_kwargs       each setting once, with its default, unit, bounds and help
      option                        what a setting is made of
      parsers, quantities           from the text that a person types to its value
      dns_servers
    model                           Request, Result, Timing
      cause                         the closed sets of words in a record
      record_fields                 the fields of a record, from which every format derives its columns
      header_text                   header values as text
      fast_dataclass                quick constructors for what is made once per row
    text                            what may be shown: no control characters, no passwords
    body_spool                      a body on its way to the disk
    atomic_file, disk, row_set      files and folders on the disk; a set of row numbers
"""
