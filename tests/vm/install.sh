#!/usr/bin/env bash
# What tests/vm needs, on Debian and Ubuntu, as root: qemu, a kernel to boot, and virtme-ng beside the given Python.
set -euo pipefail
python=${1:-python3}

missing=()
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
command -v busybox >/dev/null || missing+=(busybox-static)
compgen -G '/boot/vmlinuz-*' >/dev/null || missing+=(linux-image-amd64)
command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "missing: ${missing[*]}; root can install them with apt-get" >&2
        exit 1
    fi
    echo "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ ! -x "$(dirname "$python")/vng" ]; then
    echo "installing virtme-ng"
    uv=$(dirname "$python")/uv
    if [ -x "$uv" ]; then
        UV_NATIVE_TLS=1 "$uv" pip install --quiet --python "$python" virtme-ng
    else
        "$python" -m pip install --quiet --disable-pip-version-check virtme-ng
    fi
fi
