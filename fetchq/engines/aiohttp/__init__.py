"""The engine over aiohttp, for mode `async`.

engine        makes the attempts of all workers of a run, in one event loop
  idle_pool   a connection that is still open
  connector   or a new one: resolver (names), TCP, proxies, TLS
connection    sends the request, checks the bytes of the response, and has aiohttp's parser read it
failures      from aiohttp's exceptions to causes
timeouts      interrupts what is out of time
"""
