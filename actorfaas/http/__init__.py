"""HTTP in and out: routes, problem details, OpenAPI, limits, waiting for results.

The Frontend actor hosts this package and feeds it the messages it receives; nothing here imports an actor.
"""
