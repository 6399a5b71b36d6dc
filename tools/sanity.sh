#!/bin/sh
# sanity.sh TARBALL: run `ansible-test sanity` over the built collection, with the Python of .venv.
set -eu
cd "$(dirname "$0")/.."
tarball=$1
python=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# ansible-test requires a directory ansible_collections/asgi/deploy and gets its files from git. A separate repository avoids the
# .gitignore of the checkout.
collection=$PWD/.cache/sanity/ansible_collections/asgi/deploy
rm -rf "$collection"
mkdir -p "$collection"
tar -xzf "$tarball" -C "$collection"
# ansible-test reads the Python versions that the modules support from this file, which the tarball does not contain
mkdir "$collection/tests"
cp tests/config.yml "$collection/tests/"
git -C "$collection" init --quiet

# ansible-test would download a specific version of pip for its environments. This script installs Python's bundled pip instead, in a file with the
# name that ansible-core 2.19 expects, in a separate home directory.
home=$PWD/.cache/sanity/home
mkdir -p "$home/.ansible/test/cache"
cat >"$home/.ansible/test/cache/get_pip_24_2.py" <<'PYTHON'
import ensurepip
ensurepip.bootstrap()
PYTHON
for settings in .config .pip; do
    if [ -e "$HOME/$settings" ]; then ln -sfn "$HOME/$settings" "$home/$settings"; fi
done

PATH=$PWD/.venv/bin:$PATH
cd "$collection"
HOME=$home exec ansible-test sanity --python "$python" --color no
