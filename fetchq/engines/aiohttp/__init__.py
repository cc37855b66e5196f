"""The engine over aiohttp, for mode `async`."""
