"""A workflow with a bottleneck: eight images are resized by a function that may have two instances.

WORKERS and RESIZE_MS are set by `bench.flow_bottleneck`, which deploys this file with other numbers. The functions
sleep, so that the machine's processors are no bottleneck of their own.
"""

import time

from actorfaas import each, function, workflow

WORKERS = 2
RESIZE_MS = 20.0


@function(warm=1)
def list_images(count: int) -> list[int]:
    time.sleep(0.005)
    return list(range(count))


@function(concurrency=WORKERS, warm=WORKERS)
def resize(image: int) -> int:
    time.sleep(RESIZE_MS / 1000)
    return image


@function(warm=1)
def index(images: list[int]) -> int:
    time.sleep(0.010)
    return len(images)


thumbnails = workflow("thumbnails", list_images >> each(resize) >> index)
