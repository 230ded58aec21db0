"""The actor kernel: actors, their mailboxes and channels, the processes that host them and what supervises those.

It knows messages and sockets; it knows nothing of functions, workers or HTTP.
"""
