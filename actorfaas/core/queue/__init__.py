"""The LocalQueue's decisions: an event and `now` go in, messages to send come out of `LocalQueueCore.outbox`.

Layers, each importing only what stands before it:

    timers        things that fall due, removable in constant time
    records       one request, task, worker or topic, and the phases a request goes through
    board         what all parts share: the tables, the outbox, and how a request or task is ended
    reports       demand and usage of topics, for the ExecutionManager
    members       workers lent to topics: who is ready, who gets the next request
    requests      published requests: accept, answer, redeliver, cancel
    assignments   tasks for one worker: armed, delivered, handed on
    workers       connections of workers: rights, retirement, death
    local_queue   the whole: entry points, the clock tick, invariants

Nothing here reads a clock, waits or knows a socket. The actor in `actorfaas.actors.local_queue` carries messages in
and out and calls `tick`.
"""

from actorfaas.core.queue.local_queue import LocalQueueCore
from actorfaas.core.queue.records import Close, Peer, Reading

__all__ = ["Close", "LocalQueueCore", "Peer", "Reading"]
