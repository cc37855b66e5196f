"""Counts and compares runs, and puts the numbers into words.

    Results that are done -> summary -> text            the summary of one run
    the same list in several modes -> compare -> compare_text
    two durable runs -> diff -> diff_text

Everything is computed as Results pass, in constant memory.
"""
