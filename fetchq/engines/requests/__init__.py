"""The engine over requests, for threads and for one request at a time."""
