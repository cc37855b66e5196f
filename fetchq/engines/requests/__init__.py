"""The engine over requests, for the modes `threads` and `sync`."""
