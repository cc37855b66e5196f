"""The engine over aiohttp's connections, for an event loop."""
