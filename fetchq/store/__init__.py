"""A durable run: its folder, its ledger, and the sinks that write records and bodies."""
