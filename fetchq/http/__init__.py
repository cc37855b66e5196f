"""Holds the rules of URLs, HTTP and content, without network I/O and without an HTTP library.

The engines do the I/O, and ask here what it means, so that all of them judge a response alike.

    attempt             drives one attempt from hop to hop, and is its outcome in the end
      attempt_state     what is known of it so far
      attempt_clock     counts its time in phases
      lost_time         what of it no timeout counts, since the process was stopped
      phases            the names of the phases
      failure           the exception that ends an attempt without success

    the request of a hop
      url               parses and checks the URL, for which target stands; sendable checks the rest of the row
      beside_url        says what is wrong with a line of a list that holds more than a URL
      international     encodes host names that are not in ASCII
      proxies           finds its proxy and its netrc password; no_proxy and netrc_file parse what the environment says
      tunnel            asks a proxy for a tunnel (CONNECT), and reads its answer
      addresses         the addresses that --resolve sets
      guard             decides which hosts and addresses may be connected to; special_addresses says which are public
      hops              builds the request, a hop
      keep_alive        decides whether a request that cannot be sent twice may use an idle connection
      range_resume      asks for the rest of a body that broke off; part_source says which responses can be the rest
      stored_part         keeps the beginning of a long body for a later session
      revalidation      asks whether the response that an earlier run has stored is still valid

    its response
      framing           finds where the heads and the body end in the bytes received
      wire_checks       checks a head, where the libraries disagree or are too lenient
      plain_head        reads the heads that nearly all responses have, in one pass
      response          reads the head: status, headers, and where the body should end
      body              decodes, limits, hashes and stores the body
        body_decoder    makes its decoder, and feeds it in steps
        large_windows   bounds the memory of decoders that keep much of what they have decoded
        content_coding  decodes gzip, deflate and br; zstd_decoder: zstd; decoder: what they have in common
        coding_policy   does not decode a coding that was not asked for, or that is the file's own
        body_buffer     keeps it in memory
        body_checksum   compares it with the checksum of its row
        unread_body     the body of a URL of which a run only looks whether it answers (--head)
      content_disposition  reads the file name that it suggests
      acceptance        decides whether its status is a success
      redirects         resolves the Location to the URL of the next hop
      cross_origin      says which headers are sent to another origin
      cookies           stores the cookies of a row or a run; cookie_file reads and writes them
      redirect_history  lists the redirects of an attempt, and the headers that were not sent on
      exchanges         the requests of an attempt with their responses, for HAR and trace; masked_fields hides secrets
      dates             parses the dates of headers and cookies

    after the attempt
      retry             decides whether it is repeated, and whether the host seems overloaded or down
      head_fallback     decides whether a GET follows a HEAD that was not answered as it should be
      headway           judges how much of its body has arrived
      retry_after       reads how long the server asks to wait, and whether the run waits that long

    robots_txt          keeps the rules of hosts; robots_rules reads them, and robots_attempt stops reading in time
"""
