"""The rules of URLs, HTTP and content: pure functions and state, without sockets and without an HTTP library."""
