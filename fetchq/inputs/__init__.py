"""Turns files, pipes, arguments and the iterables of Python programs into Requests.

    opening      opens each argument: a URL, a file (also .gz and .zst), standard input
       |
       v
    readers      reads an input piece by piece
       |
       v
    lines, csv   parses the lines of text, JSON Lines and CSV; a row that is unusable becomes a Request with a problem
       |
       v
    source       hands out batches of numbered Requests, input after input, without those that are done

`iterables` does the same for rows that a program hands over. Nothing is read before it is needed.
"""
