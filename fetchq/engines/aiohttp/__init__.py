"""The engine over aiohttp, for mode `async`.

engine        makes the attempts of all workers of a run, in one event loop
  idle_pool   finds a connection that is still open
  connector   opens a new one: resolver (names), TCP, tunnel (proxies), TLS
    opening   what is known of it meanwhile
connection    sends the request, and reads the response, its head with aiohttp's parser
  head_parser makes that parser, and repairs heads that it refuses
turns         estimates when the bytes that a busy loop reads had arrived
upload        sends long bodies, and reads the response that arrives meanwhile
disk          does disk work in threads
failures      maps aiohttp's exceptions to causes
timeouts      interrupts attempts that have timed out
"""
