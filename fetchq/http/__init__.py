"""Holds the rules of URLs, HTTP and content, without sockets and without an HTTP library.

An engine makes the I/O and asks here what it means, so that all engines judge a response alike. One attempt goes down
this list, and up again to the top for a redirect:

    url             parses and checks the URL
    proxies         finds its proxy and its netrc password; addresses: those that --resolve sets
    hops            builds the request of a hop
      range_resume  asks only for the rest of a body that broke off
      revalidation  asks whether what an earlier run has stored is still valid
    wire_checks     checks the bytes that came, where the libraries are too lenient
    response        reads the head: status, headers, and where the body ends
    body            decodes, limits, hashes and keeps the body
      content_coding
    redirects       resolves the Location
    attempt         drives all of these, and measures the phases
      phases, failure
    retry           decides whether a failed attempt is repeated, and what it says of the host

`robots_txt` reads the rules of a host, and `robots_attempt` has an attempt read no more of them than counts.
"""
