#!/bin/sh
# sanity.sh TARBALL: run `ansible-test sanity` over the collection as it ships, on the Python of .venv.
set -eu
cd "$(dirname "$0")/.."
tarball=$1
python=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# ansible-test wants a real directory ansible_collections/asgi/deploy and asks git for its files; a repository of its
# own keeps the checkout's .gitignore out of it
collection=$PWD/.cache/sanity/ansible_collections/asgi/deploy
rm -rf "$collection"
mkdir -p "$collection"
tar -xzf "$tarball" -C "$collection"
git -C "$collection" init --quiet

# It makes its environments with a pip that it would download from a place of its own. Python's bundled pip does as well,
# so ansible-core 2.19 finds that under the name it looks for, in a home directory that is only for this.
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
