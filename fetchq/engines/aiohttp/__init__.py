"""The engine over aiohttp, for mode `async`.

engine        makes the attempts of all workers of a run, in one event loop
  idle_pool   a connection that is still open
  connector   or a new one: resolver (names), TCP, tunnel (proxies), TLS
connection    sends the request, and reads the response, its head with aiohttp's parser
  head_parser makes that parser, and repairs what it refuses
upload        sends long bodies, and hears what the server says before a connection fails under one
disk          does disk work in threads
failures      from aiohttp's exceptions to causes
timeouts      interrupts what is out of time
"""
