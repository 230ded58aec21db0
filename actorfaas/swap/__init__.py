"""Idle workers out of memory and back: working sets, page-out, prefetch, and the kernel interfaces below them.

`ranges`, `maps`, `swaps` and `swap_header` are pure. `target`, `pagemap`, `madvise`, `populate`, `cgroup*`, `swapfile`,
`zram` and `capabilities` talk to the kernel; they decide nothing.
"""
