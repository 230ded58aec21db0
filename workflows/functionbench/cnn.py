"""A small convolutional network's forward pass in numpy; the weights are made once, at initialisation."""

import numpy as np

from actorfaas import function

CLASSES = ("cat", "dog", "bird", "fish", "horse", "frog", "ship", "truck", "plane", "car")
weights: dict[str, np.ndarray] = {}


def load_weights() -> None:
    """Two layers of convolution and a dense one, the same in every instance."""
    source = np.random.default_rng(5)
    weights["first"] = source.normal(0, 0.2, (16, 3, 3, 3))
    weights["second"] = source.normal(0, 0.1, (32, 16, 3, 3))
    weights["dense"] = source.normal(0, 0.05, (32 * 8 * 8, len(CLASSES)))


def convolve_and_pool(image: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """3 × 3 convolution, rectifier, 2 × 2 maximum; channels first."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    activated = np.maximum(np.einsum("cijkl,fckl->fij", windows, filters, optimize=True), 0)
    channels, height, width = activated.shape
    return activated.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))


@function(init=load_weights)
def cnn_serving(event: dict) -> dict:
    """Classify an image of 32 × 32 pixels generated from `seed`."""
    image = np.random.default_rng(event["seed"]).normal(0, 1, (3, 32, 32))
    features = convolve_and_pool(convolve_and_pool(image, weights["first"]), weights["second"])
    scores = features.reshape(-1) @ weights["dense"]
    probabilities = np.exp(scores - scores.max())
    probabilities /= probabilities.sum()
    best = int(probabilities.argmax())
    return {"label": CLASSES[best], "probability": float(probabilities[best])}
