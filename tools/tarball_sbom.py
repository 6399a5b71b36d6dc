#!/usr/bin/env python
"""Write the software bill of materials (CycloneDX 1.6) of the collection's tarball: its files, and what it requires.

`tarball_sbom.py TARBALL` writes asgi-deploy-VERSION.cdx.json beside it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import yaml


def sha256(content: bytes) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]


def bill(path: Path) -> dict[str, Any]:
    with tarfile.open(path) as tarball:
        contents = {member.name: tarball.extractfile(member).read() for member in tarball if member.isfile()}
    info = json.loads(contents["MANIFEST.json"])["collection_info"]
    requires = yaml.safe_load(contents["meta/runtime.yml"])["requires_ansible"]
    name, version = f"{info['namespace']}.{info['name']}", info["version"]
    reference = f"{name}@{version}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": reference,
                "name": name,
                "version": version,
                "licenses": [{"license": {"id": licence}} for licence in info["license"]],
                "hashes": sha256(path.read_bytes()),
                "externalReferences": [{"type": "vcs", "url": info["repository"]}],
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": "ansible-core",
                "name": "ansible-core",
                "description": f"required: {requires}",
            },
            *(
                {"type": "file", "bom-ref": each, "name": each, "hashes": sha256(content)}
                for each, content in sorted(contents.items())
            ),
        ],
        "dependencies": [{"ref": reference, "dependsOn": ["ansible-core"]}],
    }


def main() -> int:
    [argument] = sys.argv[1:]
    path = Path(argument)
    target = path.with_name(path.name.removesuffix(".tar.gz") + ".cdx.json")
    target.write_text(json.dumps(bill(path), indent=2) + "\n")
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
