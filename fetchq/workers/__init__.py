"""The pools of workers: asyncio tasks, threads, or turns in one thread."""
