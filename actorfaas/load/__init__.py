"""Load generation: open and closed loops over HTTP, from several processes, with latencies from the intended start.

What a load script (`actorfaas load SCRIPT.py`) is written with:

    from actorfaas.load import Load, call

    def order(chance):                       # an input, drawn a hundred times before the run, by the run's seed
        return {"lines": [{"sku": "TEA-1", "quantity": chance.randint(1, 5)}]}

    load = Load(
        call("order_pipeline", order, weight=3),
        call("random_average", {"count": 1000}),
        arrivals="poisson 10..100/s 20s, poisson 100/s 40s",
        fail_if=["p99>50ms", "errors>0.1%"],
    )
"""

from actorfaas.load.script import Load, TargetCall, call

__all__ = ["Load", "TargetCall", "call"]
