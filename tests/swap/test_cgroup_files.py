"""What control group files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorfaas.swap import cgroup_files as files
from actorfaas.swap.cgroup_files import MemoryStat, Mount, Owner

STAT_V2 = """\
anon 1048576
file 2097152
kernel 65536
pagetables 40960
shmem 4096
active_anon 1048576
inactive_anon 12288
workingset_refault_anon 3
"""

STAT_V1 = """\
cache 4096
rss 100
total_cache 12288
total_rss 5242880
total_shmem 4096
total_active_anon 4096
total_inactive_anon 5242957
"""

PSI = """\
some avg10=1.50 avg60=0.25 avg300=0.00 total=12345
full avg10=0.50 avg60=0.05 avg300=0.00 total=2345
"""

MOUNTINFO = """\
30 24 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
31 24 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
32 24 0:28 /docker/abc /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
33 24 254:1 / / rw - ext4 /dev/vda rw
"""


def test_memory_stat_of_both_versions() -> None:
    assert files.parse_stat_v2(STAT_V2) == MemoryStat(1048576, 8192, 65536)
    assert files.parse_stat_v1(STAT_V1, 123) == MemoryStat(5242880, 77, 123)


def test_kernel_memory_before_it_had_a_line_of_its_own() -> None:
    text = "anon 1\nfile 2\nshmem 3\nslab 100\nkernel_stack 10\npagetables 1\nactive_anon 0\ninactive_anon 2\n"
    assert files.parse_stat_v2(text) == MemoryStat(1, 0, 111)


@pytest.mark.parametrize(
    ("text", "limit"), [("max\n", None), ("9223372036854771712\n", None), ("1048576\n", 1048576), ("0\n", 0)]
)
def test_limits(text: str, limit: int | None) -> None:
    assert files.parse_limit(text) == limit


def test_pressure() -> None:
    assert files.parse_pressure(PSI) == 1.5
    with pytest.raises(ValueError, match="no pressure stall information"):
        files.parse_pressure("full avg10=1.00 avg60=1.00 avg300=1.00 total=1\n")


def test_events() -> None:
    assert files.parse_flat("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")["oom_kill"] == 2


def test_own_groups() -> None:
    own = files.parse_own_groups("5:cpu,cpuacct:/a\n4:memory:/b:c\n1:name=systemd:/\n0::/d\n")
    assert own == {"cpu": "/a", "cpuacct": "/a", "memory": "/b:c", "name=systemd": "/", "": "/d"}


def test_mounts() -> None:
    assert files.parse_mounts(MOUNTINFO) == [
        Mount(1, Path("/sys/fs/cgroup/memory"), "/"),
        Mount(2, Path("/sys/fs/cgroup/unified"), "/docker/abc"),
    ]


@pytest.mark.parametrize(
    ("root", "group", "folder"),
    [
        ("/", "/", "/m"),
        ("/", "/user.slice/x", "/m/user.slice/x"),
        ("/docker/abc", "/docker/abc", "/m"),
        ("/docker/abc", "/docker/abc/x", "/m/x"),
        ("/docker/abc", "/docker/abcdef/x", "/m"),
        ("/", "/../../other", "/m"),
    ],
)
def test_own_folder(root: str, group: str, folder: str) -> None:
    assert files.own_folder(Mount(2, Path("/m"), root), group) == Path(folder)


def test_only_our_names_have_an_owner() -> None:
    owner = Owner(4711, 123456)
    assert Owner.of_directory(owner.directory) == owner
    for name in ("actorfaas-4711", "actorfaas-4711-12x", "x-actorfaas-1-2", "user.slice", "actorfaas-1-2-3"):
        assert Owner.of_directory(name) is None


@pytest.mark.parametrize("name", ["memory.max", "cgroup.procs", "../../escape", "a/b", "a\nb", "resize@3", "ünïcode"])
def test_names_of_users_are_harmless(name: str) -> None:
    safe = files.safe_name("fn-", name)
    assert safe.startswith("fn-")
    assert safe.isascii()
    assert not set(safe) & set("/\n")


def test_pids_of_other_namespaces_are_left_out() -> None:
    assert files.pids_in("12\n0\n34\n") == [12, 34]


def test_depth_first() -> None:
    folders = [Path("/a"), Path("/a/b/c"), Path("/a/b")]
    assert files.depth_first(folders) == [Path("/a/b/c"), Path("/a/b"), Path("/a")]
