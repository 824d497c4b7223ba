"""The other agent: heartbeats over UDP, requests over TCP.

`link` and `rpc_server` never wait and are the loop's; `rpc_client` waits, and is for commands and children.
"""
