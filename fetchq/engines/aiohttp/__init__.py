"""The engine over aiohttp, for mode `async`.

engine        makes the attempts of all workers of a run, in one event loop
  idle_pool   finds a connection that is still open
  connector   opens a new one: resolver (names), TCP, tunnel (proxies), TLS
    opening   what is known of it meanwhile
connection    sends the request, and reads the response, its head with aiohttp's parser
  fast_path   takes a plain response at once: its module says which exchanges are on the fast path
  head_parser makes aiohttp's parser, and repairs heads that it refuses
  pausing     pauses reading, also over TLS
  closing     says how it has ended
fast_requests sends the requests that may take the fast path
turns         estimates when the bytes that a busy loop reads had arrived
body_receiver receives the bodies that leave the fast path; long ones take turns with all else
upload        sends long bodies, and reads the response that arrives meanwhile
disk          does disk work in threads
failures      maps aiohttp's exceptions to causes
timeouts      interrupts attempts that have timed out
"""
