"""Turns files, pipes, arguments and the iterables of Python programs into Requests.

    opening      makes an input of each argument: a URL, a file (also .gz and .zst), standard input
       |
       v
    readers      reads an input piece by piece; compressed bounds what one expands to
       |
       v
    guessing     chooses the parser by the beginning of the list, where its name does not
       |
       v
    lines, json, csv   parse text, JSON and CSV; an unusable row becomes a Request with a problem
      splitting        splits the bytes into lines, or into the elements of a JSON array
      columns          knows the keys and columns that are read, and which others are passed on
    pages              chooses the parser of a page, whose links are the rows:
      html, markdown, sitemap
      html_links       finds the links in HTML; links makes Requests of them
       |
       v
    source       hands out batches of numbered Requests, input after input, without the rows that are done

`sampling` chooses rows by number or by chance, and shuffles them. `iterables` numbers and checks the rows of a Python
program. Rows are read only a little ahead of the workers.
"""
