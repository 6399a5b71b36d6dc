"""The differences between the releases of the tests, from variant.json."""

import json
from pathlib import Path

VARIANT = json.loads((Path(__file__).parent / "variant.json").read_text())
FAULT = VARIANT.get("fault", "")
BOOT_SECONDS = VARIANT.get("boot", 0)
DIES_AFTER = VARIANT.get("dies_after", 1)
