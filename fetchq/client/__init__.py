"""Fetches for Python programs that fetch again and again, and beside their own work.

client      Client: many calls, one run
fetch_map   a function over the Results, in threads, processes or the event loop
"""
