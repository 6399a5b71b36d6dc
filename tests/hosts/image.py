#!/usr/bin/env python
"""Build the images of the test machines, unless images of the same recipe are there already.

asgi-target:<release> is a bare machine, asgi-ready:<release> one that has the distribution's packages. One recipe (the
Dockerfile beside this file), two bases: Debian's official image where a registry answers, and where none does, the same
distribution made from the package mirror with mmdebstrap.
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
SUITES = {"12": "bookworm", "13": "trixie"}
STAGES = ("target", "ready")
# A registry that answers names what it is about to send within this time; the sending itself may take what it takes.
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
    """Return what identifies the content of an image: the files it is made of and the release."""
    parts = [release.encode(), *((HERE / name).read_bytes() for name in ("Dockerfile", "systemd-init"))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def label(tag: str) -> str:
    """Return the recipe of the image *tag*, or nothing when there is no such image."""
    command = ["docker", "image", "inspect", "--format", '{{index .Config.Labels "asgi.recipe"}}', tag]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def base(release: str) -> str:
    """Return the name of an image of bare Debian, fetched or made when there is none yet."""
    official, own = f"debian:{release}", f"asgi-base:{release}"
    if present(official) or pull(official):
        return official
    if not present(own):
        say(f"no registry gives {official}: making it from the package mirror")
        bootstrap(SUITES[release], own)
    return own


def present(image: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0


def pull(image: str) -> bool:
    """Fetch *image*; return whether a registry had it. One that does not answer costs REGISTRY_SECONDS at most."""
    with subprocess.Popen(["docker", "pull", image], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        answered = select.select([process.stdout], [], [], REGISTRY_SECONDS)[0]
        if not answered:
            process.kill()
        process.stdout.read()
    return process.returncode == 0


def bootstrap(suite: str, image: str) -> None:
    """Make *image* from Debian's package mirror."""
    root = [] if os.geteuid() == 0 else ["sudo"]
    if root and not shutil.which("sudo"):
        sys.exit(f"{image} cannot be made: that takes root or sudo. Or let Docker reach a registry that has Debian.")
    if not shutil.which("mmdebstrap"):
        if not shutil.which("apt-get"):
            sys.exit(
                f"{image} cannot be made: mmdebstrap is a Debian tool. Let Docker reach a registry that has Debian."
            )
        say("installing mmdebstrap with apt")
        run([*root, "apt-get", "update"])
        run([*root, "apt-get", "install", "--yes", "--no-install-recommends", "mmdebstrap"])
    with tempfile.TemporaryDirectory() as directory:
        # a file, and not a pipe into `docker import`: when that fails, mmdebstrap hangs up on its whole process group
        archive = f"{directory}/{suite}.tar"
        run([*root, "mmdebstrap", "--variant=minbase", suite, archive])
        docker("import", archive, image)


def docker(*arguments: str) -> None:
    run(["docker", *arguments])


def run(command: list[str]) -> None:
    """Run *command*; show what it wrote only if it fails."""
    outcome = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if outcome.returncode != 0:
        sys.exit(f"{outcome.stdout}\n{' '.join(command)} failed ({outcome.returncode})")


def say(message: str) -> None:
    print(f"==> {message}", flush=True)


if __name__ == "__main__":
    main()
