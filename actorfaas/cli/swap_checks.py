"""What `doctor` says about the memory of idle instances: swap, control groups, and what the kernel lets a node do.

None of these fails: without any of it a node works, with every instance in memory.
"""

from __future__ import annotations

from actorfaas.cli.checks import Check, Machine
from actorfaas.cli.output import size
from actorfaas.swap import capabilities, cgroup, swaps


def check_swap(machine: Machine) -> Check:
    """Swap space, for instances that are idle."""
    areas = swaps.parse_swaps(machine.read("swaps"))
    if not areas:
        advice = "idle instances stay in memory; that works. To add some, as root: actorfaas swap on"
        return Check("swap", "warn", "none", advice)
    total, used = sum(area.size_bytes for area in areas), sum(area.used_bytes for area in areas)
    found = f"{size(total)} on {', '.join(area.path for area in areas)}, {size(used)} used"
    if used > 0.9 * total:
        return Check("swap", "warn", found, "it is nearly full: give more with actorfaas swap on --path")
    return Check("swap", "ok", found)


def check_cgroup(machine: Machine) -> Check:
    """Which control groups count memory, and whether a node may make some for its instances."""
    try:
        found = cgroup.detect(machine.proc)
    except OSError:
        return Check("cgroup", "warn", "cannot be found out", "instances then have no memory limit")
    if found.usable:
        return Check("cgroup", "ok", found.sentence)
    what, _, advice = found.sentence.partition("; ")
    return Check("cgroup", "warn", what, advice or "instances then have no memory limit")


def check_paging(machine: Machine) -> Check:
    """How idle instances leave memory here."""
    if machine.settings.paging == "off":
        return Check("paging", "warn", "switched off", "setting paging")
    can = capabilities.find_out()
    return Check("paging", "ok" if can.can_page_others else "warn", can.mechanism)


def check_page_map(_: Machine) -> Check:
    """How working sets are found out."""
    can = capabilities.find_out().pagemap_scan
    return Check("page map", "ok" if can else "warn", can.sentence)


def check_zram(_: Machine) -> Check:
    """Compressed memory as swap."""
    can = capabilities.find_out().zram
    return Check("zram", "ok", can.sentence if can else f"not here: {can.sentence}")


CHECKS = (check_swap, check_cgroup, check_paging, check_page_map, check_zram)
