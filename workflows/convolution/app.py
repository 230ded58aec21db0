"""Convolution: an image goes through three filters, one state each, then is summarised.

Every state hands a whole image to the next (a 384 × 384 image of float64 is 1.5 MiB of JSON text), so this workflow
is about large payloads between states.
"""

import base64
from typing import Any

import numpy as np

from actorfaas import Context, function, workflow

Image = dict[str, Any]

BLUR = np.outer([1.0, 4.0, 6.0, 4.0, 1.0], [1.0, 4.0, 6.0, 4.0, 1.0]) / 256.0
SHARPEN = np.array([[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]])
SOBEL_X = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])

MAX_SIDE = 1024


def pack(pixels: np.ndarray) -> Image:
    """An array as JSON: its shape, and its float64 values in base64."""
    return {"shape": list(pixels.shape), "pixels": base64.b64encode(pixels.tobytes()).decode("ascii")}


def unpack(image: Image) -> np.ndarray:
    """The array that `pack` made JSON of."""
    return np.frombuffer(base64.b64decode(image["pixels"])).reshape(image["shape"])


def convolve(pixels: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Two-dimensional convolution, edges repeated; the result has the shape of `pixels`."""
    margin = kernel.shape[0] // 2
    padded = np.pad(pixels, margin, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
    return np.einsum("ijkl,kl->ij", windows, kernel[::-1, ::-1])


def draw_image(side: int, seed: int) -> np.ndarray:
    """Circles, a gradient and noise: something every filter changes."""
    y, x = np.mgrid[0:side, 0:side] / side
    rings = np.sin(40 * np.hypot(x - 0.5, y - 0.5))
    noise = np.random.default_rng(seed).normal(0, 0.1, (side, side))
    return rings + x + noise


@function(timeout_s=30)
def make_image(event: dict | None) -> Image:
    """A test image of `side` × `side` pixels, different for every `seed`."""
    event = event or {}
    side = int(event.get("side", 384))
    if not 8 <= side <= MAX_SIDE:
        raise ValueError(f"'side' must be between 8 and {MAX_SIDE}, not {side}")
    return pack(draw_image(side, int(event.get("seed", 1))))


@function(timeout_s=30)
def blur_image(image: Image) -> Image:
    """Gaussian blur, 5 × 5."""
    return pack(convolve(unpack(image), BLUR))


@function(timeout_s=30)
def sharpen_image(image: Image) -> Image:
    """Sharpen, 3 × 3."""
    return pack(convolve(unpack(image), SHARPEN))


@function(timeout_s=30)
def detect_edges(image: Image, ctx: Context) -> Image:
    """Gradient magnitude by the two Sobel kernels."""
    pixels = unpack(image)
    edges = np.hypot(convolve(pixels, SOBEL_X), convolve(pixels, SOBEL_X.T))
    ctx.logger.info("strongest edge %.3f", edges.max())
    return pack(edges)


@function(timeout_s=30)
def summarise_image(image: Image) -> dict:
    """Mean, deviation, maximum and a histogram of ten bins."""
    pixels = unpack(image)
    counts, bounds = np.histogram(pixels, bins=10)
    return {
        "shape": image["shape"],
        "mean": float(pixels.mean()),
        "deviation": float(pixels.std()),
        "maximum": float(pixels.max()),
        "histogram": {"counts": counts.tolist(), "bounds": bounds.tolist()},
    }


convolution = workflow("convolution", make_image >> blur_image >> sharpen_image >> detect_edges >> summarise_image)
