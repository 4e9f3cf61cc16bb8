"""The model server: a process that keeps versions loaded in processes of their own and hands requests to them.

It is forked from the warm server, so torch is there and shared, and it never computes: each replica is forked from it
in turn. It lives and dies with the node manager, not with the warm server. `server` answers clients, `pool` decides who
is loaded and who answers, `replica` is a model's process, `client` is the light side that asks.
"""
