"""Video-style work: a clip goes to grey, and motion is found by comparing neighbouring frames."""

import numpy as np

from actorfaas import function


def film(frames: int, side: int, seed: int) -> np.ndarray:
    """A clip of a bright square crossing a noisy background: frames × side × side × 3 bytes."""
    clip = np.random.default_rng(seed).integers(0, 60, (frames, side, side, 3), dtype=np.uint8)
    size = max(side // 8, 1)
    for number in range(frames):
        left = number * (side - size) // max(frames - 1, 1)
        clip[number, side // 2 : side // 2 + size, left : left + size] = 250
    return clip


@function(timeout_s=60)
def video_processing(event: dict) -> dict:
    """Where the moving object was in each frame (its column), and how much changed."""
    clip = film(event["frames"], event["side"], event["seed"])
    grey = clip.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    changed = np.abs(np.diff(grey, axis=0)) > 100
    columns = [int(np.median(np.nonzero(frame > 200)[1])) for frame in grey]
    return {"frames": len(grey), "changed_pixels": int(changed.sum()), "path": columns}
