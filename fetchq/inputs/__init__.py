"""From files, pipes and arguments to Requests."""
