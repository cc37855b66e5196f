"""The engines: each makes one attempt at a request, and is the only code that knows its HTTP library."""
