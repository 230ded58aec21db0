#!/usr/bin/env bash
# Runs inside the virtual machine as root: puts a file system on the empty disk, for the swap file, and runs the
# tests that are named.
set -euo pipefail
checkout=$1
python=$2
shift 2

mkfs.ext4 -q -F /dev/vda
mkdir -p /run/swap
mount /dev/vda /run/swap
export ACTORFAAS_TEST_SWAP_DIR=/run/swap PYTHONDONTWRITEBYTECODE=1 TMPDIR=/run
export ACTORFAAS_TEST_NO_SKIPS=1
export ACTORFAAS_TEST_SLOWNESS=10  # every instruction is emulated

cd "$checkout"
echo "guest: Linux $(uname -r), controllers: $(cat /sys/fs/cgroup/cgroup.controllers), started after $(cut -d' ' -f1 /proc/uptime) s"
status=0
"$python" -m pytest -v -m swap "$@" -p no:cacheprovider -p no:xdist -p no:hypothesispytest --durations=12 -o timeout=300 ||
    status=$?
umount -l /run/swap
echo "guest: tests ended with status $status after $(cut -d' ' -f1 /proc/uptime) s"
exit "$status"
