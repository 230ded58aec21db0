"""Pandas: build a table of sales and group it."""

import numpy as np
import pandas as pd

from actorfaas import function


@function(timeout_s=60)
def pandas_groupby(event: dict) -> dict:
    """Sum and mean of `rows` generated sales by region."""
    source = np.random.default_rng(event["seed"])
    rows = event["rows"]
    table = pd.DataFrame(
        {
            "region": source.choice(["north", "south", "east", "west"], rows),
            "amount": source.integers(1, 1000, rows),
        }
    )
    grouped = table.groupby("region")["amount"].agg(["sum", "mean"])
    return {
        region: {"sum": int(row["sum"]), "mean": round(float(row["mean"]), 3)} for region, row in grouped.iterrows()
    }
