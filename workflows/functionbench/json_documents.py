"""JSON: parse a document, change it, write it."""

import json
import random

from actorfaas import function


def people(count: int, seed: int) -> str:
    """A JSON document about `count` invented people."""
    source = random.Random(seed)
    return json.dumps(
        [{"id": i, "age": source.randint(1, 99), "tags": [f"t{source.randint(0, 9)}"] * 3} for i in range(count)]
    )


@function
def json_serdes(event: dict) -> dict:
    """Parse the document, make everybody a year older, write it, and describe the outcome."""
    document = json.loads(people(event["people"], event["seed"]))
    for person in document:
        person["age"] += 1
    written = json.dumps(document, sort_keys=True)
    return {"people": len(document), "ages": sum(person["age"] for person in document), "bytes": len(written)}
