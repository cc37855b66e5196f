"""The fault corpus: servers that misbehave, each in one way, and what fetchq has to make of that.

python -m tests.faults          serves every entry by hand, and lists them with their URLs
scripts/faults                  fetches every entry with both engines, and with other programs

base, wire           what an entry is; the bytes of HTTP, and the connection to misbehave on
framing, length, head, time, redirect, content, bombs
                     answers to a request: each is `/fault/<name>` of the server in `server`
network, tls, names, origins
                     what goes wrong before an answer, or between two servers: each has ports of its own, and `site`
                     has what they share, a certificate authority and a name server
good                 answers that are right, in all forms, which must not be refused
corpus               all of them
trial                fetches an entry with fetchq, and judges the Result
by_hand              the command
"""
