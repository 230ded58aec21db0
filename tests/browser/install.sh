#!/usr/bin/env bash
# What tests/browser needs: playwright and axe-core beside the given Python, and a Chromium, on Debian and Ubuntu as root.
set -euo pipefail
python=${1:-python3}

has_chromium() {
    local name
    for name in "${ACTORFAAS_TEST_CHROMIUM:-chromium}" chromium-browser google-chrome; do
        command -v "$name" >/dev/null && return
    done
    return 1
}

if ! has_chromium; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "missing: a Chromium; root can install it with apt-get" >&2
        exit 1
    fi
    echo "installing chromium"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
fi
if ! "$python" -c 'import axe_playwright_python, playwright' 2>/dev/null; then
    echo "installing playwright and axe-core"
    uv=$(dirname "$python")/uv
    if [ -x "$uv" ]; then
        UV_NATIVE_TLS=1 "$uv" pip install --quiet --python "$python" playwright axe-playwright-python
    else
        "$python" -m pip install --quiet --disable-pip-version-check playwright axe-playwright-python
    fi
fi
