"""How much longer tests wait where the machine is slow: in a virtual machine every instruction may be emulated."""

from __future__ import annotations

import os

SLOWNESS = float(os.environ.get("ACTORFAAS_TEST_SLOWNESS") or 1)
"""What limits are multiplied by. They only say when a test has failed; no test waits for them to pass."""
