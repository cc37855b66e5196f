"""Fetches a list in shards, in several processes or on many machines, with no coordinator that must not fail.

    prepare        reads the list once, and appends each row to the file of its lane
       |
       |  lanes      finds the lane of a row by its host; split divides the rows of a lane among its shards
       |  rows       a row as a line, and back
       |  refused    the settings of a run that a job does not have
       v
    job            what the job is, and the names of its files; storage reads and writes them, wherever fsspec can
       |
       v
    driver         runs the shards of a lane one after the other, and the lanes at the same time
       |
       |  tasks      what is sent to the process that runs a shard
       |  executors  what runs shards: local_processes of this machine, or dask_workers
       v
    attempt        one attempt at a shard, in any process
       |
       |  lease      holds its lane, so that a host is in one running shard
       |  shard_run  an ordinary pipeline over its rows, in a local folder
       |  shard_files stores what that has written
       v
    marker         says that a shard is done, and which attempt has its data
       |
       v
    state          how far a job is; finishes it
    stored_job     the records of the shards that are done, as those of one run

A host has one lane, and a lane one running shard, so the limits that a process keeps for a host hold for the whole job.
The truth is in the storage: a shard is done when its marker is there, whatever an engine believes, and only files that
a marker names are data. Everything else may be killed at any time.
"""
