"""Logistic regression with numpy: serving a model made at initialisation, and training one per request."""

import numpy as np

from actorfaas import function

FEATURES = 2000
model: dict[str, np.ndarray] = {}


def load_model() -> None:
    """Make the weights that serving uses, the same in every instance."""
    model["weights"] = np.random.default_rng(20).normal(0, 1, FEATURES)


def hash_words(text: str) -> np.ndarray:
    """A bag of words: each word counts at a position derived from its letters."""
    counts = np.zeros(FEATURES)
    for word in text.lower().split():
        position = 0
        for letter in word:
            position = (position * 31 + ord(letter)) % FEATURES
        counts[position] += 1
    return counts


@function(init=load_model)
def lr_serving(event: dict) -> dict:
    """The probability that the review `text` is positive."""
    score = float(hash_words(event["text"]) @ model["weights"])
    return {"probability": 1 / (1 + np.exp(-score)), "positive": score > 0}


@function(timeout_s=60)
def lr_training(event: dict) -> dict:
    """Gradient descent on `samples` generated points; returns loss and accuracy."""
    source = np.random.default_rng(event["seed"])
    x = source.normal(0, 1, (event["samples"], 20))
    truth = source.normal(0, 1, 20)
    y = (x @ truth > 0).astype(float)
    weights = np.zeros(20)
    for _ in range(event["steps"]):
        probability = 1 / (1 + np.exp(-(x @ weights)))
        weights -= 0.5 * x.T @ (probability - y) / len(y)
    probability = np.clip(1 / (1 + np.exp(-(x @ weights))), 1e-9, 1 - 1e-9)
    loss = -float(np.mean(y * np.log(probability) + (1 - y) * np.log(1 - probability)))
    return {"loss": loss, "accuracy": float(np.mean((probability > 0.5) == (y > 0.5)))}
