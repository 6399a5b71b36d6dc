#!/usr/bin/env python
"""Build the image of a test machine, unless an image with the same recipe exists.

asgi-target:<release> is a bare machine, asgi-ready:<release> also has the packages of the distribution that the roles install. The recipe is
the Dockerfile in this directory. Its base is Debian's official image or, if no registry is reachable, the same distribution built from
the package mirror with mmdebstrap.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SUITES = {"12": "bookworm", "13": "trixie", "14": "forky"}
# Names of Debian's images. An unreleased version has no number.
OFFICIAL = {"14": "forky"}
STAGES = ("target", "ready")
# Timeout for the first answer of a registry. The download itself has no timeout.
REGISTRY_SECONDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("debian", choices=SUITES, help="the release of Debian")
    parser.add_argument("stage", choices=STAGES, nargs="?", default=STAGES[0], help="the kind of machine")
    parser.add_argument("--tag", help="name of the image (default: asgi-<stage>:<release>)")
    arguments = parser.parse_args()

    release, stage = arguments.debian, arguments.stage
    tag, recipe = arguments.tag or f"asgi-{stage}:{release}", recipe_of(release)
    if label(tag) == recipe:
        print(f"image {tag} is up to date")
        return
    source = base(release)
    say(f"building image {tag} on {source}")
    options = ["--target", stage, "--label", f"asgi.recipe={recipe}", "--build-arg", f"BASE={source}"]
    docker("build", "--tag", tag, *options, str(HERE))


def recipe_of(release: str) -> str:
    """Return a hash that identifies the content of an image: its files and the release."""
    parts = [release.encode(), *((HERE / name).read_bytes() for name in ("Dockerfile", "systemd-init"))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def label(tag: str) -> str:
    """Return the recipe of the image *tag*; empty if the image does not exist."""
    command = ["docker", "image", "inspect", "--format", '{{index .Config.Labels "asgi.recipe"}}', tag]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def base(release: str) -> str:
    """Return the name of an image of bare Debian. Pull or build it if necessary."""
    official, own = f"debian:{OFFICIAL.get(release, release)}", f"asgi-base:{release}"
    if present(official) or pull(official):
        return official
    if not present(own):
        say(f"no registry has {official}: building it from the package mirror")
        bootstrap(SUITES[release], own)
    return own


def present(image: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0


def pull(image: str) -> bool:
    """Pull *image*, and return whether this succeeded."""
    with subprocess.Popen(["docker", "pull", image], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        answered = select.select([process.stdout], [], [], REGISTRY_SECONDS)[0]
        if not answered:
            process.kill()
        process.stdout.read()
    return process.returncode == 0


def bootstrap(suite: str, image: str) -> None:
    """Build *image* from Debian's package mirror."""
    root = [] if os.geteuid() == 0 else ["sudo"]
    if root and not shutil.which("sudo"):
        sys.exit(
            f"cannot build {image} without root or sudo; alternatively, give Docker access to a registry with Debian"
        )
    if not shutil.which("mmdebstrap"):
        if not shutil.which("apt-get"):
            sys.exit(
                f"cannot build {image} without mmdebstrap, a tool of Debian; give Docker access to a registry with Debian"
            )
        say("installing mmdebstrap with apt")
        run([*root, "apt-get", "update"])
        run([*root, "apt-get", "install", "--yes", "--no-install-recommends", "mmdebstrap"])
    with tempfile.TemporaryDirectory() as directory:
        # Use a file instead of a pipe to `docker import`: if the import fails, mmdebstrap sends SIGHUP to its process group.
        archive = f"{directory}/{suite}.tar"
        # The package lists of an unreleased version may have expired on a mirror. The image keeps this setting.
        lenient = ['--aptopt=Acquire::Check-Valid-Until "false"'] if suite in OFFICIAL.values() else []
        run([*root, "mmdebstrap", "--variant=minbase", *lenient, suite, archive])
        docker("import", archive, image)


def docker(*arguments: str) -> None:
    run(["docker", *arguments])


def run(command: list[str]) -> None:
    """Run *command*, and print its output only if it fails."""
    outcome = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if outcome.returncode != 0:
        sys.exit(f"{outcome.stdout}\n{' '.join(command)} failed ({outcome.returncode})")


def say(message: str) -> None:
    print(f"==> {message}", flush=True)


if __name__ == "__main__":
    main()
