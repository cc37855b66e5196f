"""Counts and compares runs, and formats the numbers, in one pass and in constant memory.

Results that are done -> summary -> text            the summary of one run
the same list in several modes -> compare -> compare_text
Results, and at the end the summary -> view    the files that show one run
two durable runs -> diff -> diff_text
"""
