"""The engine over requests, for the modes `threads` and `sync`.

engine          makes the attempts of one worker
  exchange      how the hooks inside urllib3 find the attempt that they work for
adapter         keeps the connections
connection      urllib3's connection, with dial (happy eyeballs), tunnel (proxies) and upload (long bodies)
socket_io       sends and receives, within the time that is left
  nonblocking   sends and receives what is possible at once, without releasing the GIL
response        reads the response, in place of http.client
heartbeat       notices when the process was stopped
abort_switch    ends what the worker does, from another thread
"""
