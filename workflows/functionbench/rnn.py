"""A recurrent network that continues a text letter by letter, in numpy."""

import numpy as np

from actorfaas import function

LETTERS = "abcdefghijklmnopqrstuvwxyz "
HIDDEN = 256
weights: dict[str, np.ndarray] = {}


def load_weights() -> None:
    """One recurrent layer, the same in every instance."""
    source = np.random.default_rng(9)
    weights["input"] = source.normal(0, 0.3, (len(LETTERS), HIDDEN))
    weights["recurrent"] = source.normal(0, 1 / np.sqrt(HIDDEN), (HIDDEN, HIDDEN))
    weights["output"] = source.normal(0, 0.3, (HIDDEN, len(LETTERS)))


@function(init=load_weights)
def rnn_serving(event: dict) -> dict:
    """Read `text`, then write `letters` more."""
    state = np.zeros(HIDDEN)
    position = len(LETTERS) - 1
    for letter in event["text"].lower():
        position = max(LETTERS.find(letter), 0)
        state = np.tanh(weights["input"][position] + state @ weights["recurrent"])
    written = []
    for _ in range(event["letters"]):
        position = int((state @ weights["output"]).argmax())
        written.append(LETTERS[position])
        state = np.tanh(weights["input"][position] + state @ weights["recurrent"])
    return {"continuation": "".join(written)}
