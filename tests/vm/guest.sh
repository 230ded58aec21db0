#!/usr/bin/env bash
# Runs inside the virtual machine as root: puts a file system on the empty disk, for the swap file, and runs the
# tests that are named. Usage: guest.sh FILES CHECKOUT PYTHON TEST...
set -euo pipefail
files=$1

# virtme-ng's mount of the host's files asks the host about each file again and again. The same files, mounted once more
# with a cache, become the root folder of the tests.
enter() {
    local root=/run/root folder
    mkfs.ext4 -q -F /dev/vda
    mkdir -p /run/swap "$root"
    mount /dev/vda /run/swap
    mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose "$files" "$root"
    for folder in proc sys dev run; do
        mount --rbind "/$folder" "$root/$folder"
    done
    mount -t tmpfs tmpfs "$root/var/tmp" # for those who may not look into root's folders
    exec chroot "$root" "$BASH" "$0" "$@"
}
[ -d /run/root ] || enter "$@"

checkout=$2
python=$3
shift 3
export ACTORFAAS_TEST_SWAP_DIR=/run/swap PYTHONDONTWRITEBYTECODE=1 TMPDIR=/run
export ACTORFAAS_TEST_NO_SKIPS=1
# Every instruction is emulated. Nodes get as much more time as the tests do, and need less in fewer processes.
export ACTORFAAS_TEST_SLOWNESS=10
export ACTORFAAS_START_TIMEOUT_S=300 ACTORFAAS_ASK_TIMEOUT_S=100 ACTORFAAS_DEPLOY_TIMEOUT_S=600
export ACTORFAAS_DEFAULT_TIMEOUT_S=120
export ACTORFAAS_PROCESSES="data_layer+local_queue+frontend swapper fw_supervisor execution_manager"

cd "$checkout"
echo "guest: Linux $(uname -r), controllers: $(cat /sys/fs/cgroup/cgroup.controllers), started after $(cut -d' ' -f1 /proc/uptime) s"
status=0
"$python" -m pytest -v -m swap "$@" -p no:cacheprovider -p no:xdist -p no:hypothesispytest --durations=0 --durations-min=1 -o timeout=300 ||
    status=$?
echo "guest: tests ended with status $status after $(cut -d' ' -f1 /proc/uptime) s"
exit "$status"
