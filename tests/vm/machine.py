"""Boots Debian's kernel in a virtual machine over this machine's live files, to run something under control groups v2.

virtme-ng does the booting (qemu without KVM, so that it works anywhere); the guest sees all files, may write to none of
them that outlive it, and has an empty disk of its own. What is needed: `tests/vm/install.sh`.

Every instruction is emulated, so what is dear there and serves no test is left out: processor features that cost the
emulator much (5-level page tables, vector registers, byte-wise string moves, SMAP), mitigations, and reading each file
from the host again (see guest.sh). An actor of the platform then starts in a third of the time.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
GUEST = Path(__file__).with_name("guest.sh")
INSTALL = "run tests/vm/install.sh as root"

FILES = "files"
"""The name under which guest.sh finds this machine's files a second time."""

_FILES = (
    f"-fsdev local,id={FILES},path=/,security_model=none,readonly=on,multidevs=remap"
    f" -device virtio-9p-pci,fsdev={FILES},mount_tag={FILES}"
)
_PROCESSOR = "-cpu max,-avx,-avx2,-f16c,-fma,-la57,-smap,-smep,-umip,-pku,-erms"
_KERNEL = "mitigations=off init_on_alloc=0 audit=0 apparmor=0"

_END_S = 30.0
"""After this long beyond its time the machine ends by itself, should nobody be left to end it."""

_NOT_LOADED = r"/(hypothesis|mypy|numpy|pandas|PIL|virtme)/"
_ENDED = re.compile(r"^guest: tests ended with status (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the guest's tests ended (None: not at all), what it printed, and how long all of it took."""

    status: int | None
    output: str
    took_s: float


def newest_kernel() -> Path | None:
    """The newest of Debian's kernels whose modules are installed too."""
    kernels = [path for path in Path("/boot").glob("vmlinuz-*") if modules_of(path).is_dir()]
    return max(kernels, key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)], default=None)


def modules_of(kernel: Path) -> Path:
    """Where a kernel's modules are."""
    return Path("/lib/modules") / kernel.name.removeprefix("vmlinuz-")


def tool(name: str) -> str | None:
    """A program beside this Python (virtme-ng is installed there) or on PATH."""
    return shutil.which(name, path=search_path())


def search_path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"


def why_not() -> str:
    """In words, why no virtual machine can be booted here; empty if one can."""
    if os.geteuid() != 0:
        return "only root can read all of this machine's files for the guest"
    for name, package in (
        ("vng", "virtme-ng"),
        ("virtme-run", "virtme-ng"),
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("busybox", "busybox-static"),
        ("mkfs.ext4", "e2fsprogs"),
    ):
        if tool(name) is None:
            return f"{name} is not installed (package {package}); {INSTALL}"
    if newest_kernel() is None:
        return f"no kernel with modules in /boot (package linux-image-amd64); {INSTALL}"
    return ""


def boot(tests: Sequence[str], timeout_s: float, *, disk_bytes: int = 4 << 30, memory_mb: int = 2048) -> Outcome:
    """Boot, run test files (by path), power off. The disk is sparse and gone afterwards, and so is every process."""
    kernel = newest_kernel()
    assert kernel is not None, why_not()
    started = time.monotonic()
    compile_ahead()
    with tempfile.TemporaryDirectory(prefix="afaas-vm-") as folder:
        disk = Path(folder) / "disk.img"
        with disk.open("wb") as file:
            file.truncate(disk_bytes)
        log = Path(folder) / "log"
        with log.open("ab") as output:  # appending: qemu and vng write to it by turns
            process = subprocess.Popen(
                ["timeout", "--signal=KILL", str(timeout_s + _END_S), *command(tests, kernel, disk, memory_mb)],
                cwd=CHECKOUT,
                env={**os.environ, "PATH": search_path()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):  # told by the missing status
                    process.wait(timeout=timeout_s)
            finally:
                end_group(process)
        text = log.read_text("utf-8", "replace")
    ended = _ENDED.search(text)
    return Outcome(int(ended[1]) if ended else None, text, time.monotonic() - started)


def compile_ahead() -> None:
    """Write the byte code that the guest will load: compiling there, emulated, takes longer than all the tests.

    Only for speed, so it may fail. Collecting writes what pytest makes of the tests' own modules.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    folders = ["actorfaas", "bench", "tests", sysconfig.get_paths()["purelib"]]
    for arguments in (
        ["compileall", "-q", "-j", "2", "-x", _NOT_LOADED, *folders],
        ["pytest", "-q", "--collect-only", "-m", "swap", "tests/system/swap"],
    ):
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [sys.executable, "-m", *arguments],
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=120,
                check=False,
            )


def command(tests: Sequence[str], kernel: Path, disk: Path, memory_mb: int) -> list[str]:
    """The command line that boots the guest."""
    run = f"bash {GUEST} {FILES} {CHECKOUT} {sys.executable} {' '.join(tests)}"
    virtme = [tool("vng") or "vng", "--run", str(kernel), "--disable-kvm", "--cpus", "1", "--memory", f"{memory_mb}M"]
    emulated = [f"--qemu-opts={_FILES} {_PROCESSOR}", "--append", _KERNEL]
    return [*virtme, *emulated, "--disk", str(disk), "--rodir", str(CHECKOUT), "--", run]


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process group that was started here."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
