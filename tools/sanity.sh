#!/bin/sh
# sanity.sh TARBALL [VENV]: run `ansible-test sanity` over the built collection, with the ansible-core and Python of VENV, by default .venv.
set -eu
cd "$(dirname "$0")/.."
tarball=$1
venv=$(cd "${2:-.venv}" && pwd)
work=$PWD/.cache/sanity${2:+/$(printf %s "$2" | tr / _)}
python=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# ansible-test requires a directory ansible_collections/asgi/deploy and gets its files from git. A separate repository avoids the
# .gitignore of the checkout.
collection=$work/ansible_collections/asgi/deploy
rm -rf "$collection"
mkdir -p "$collection"
tar -xzf "$tarball" -C "$collection"
# ansible-test reads the Python versions that the modules support from this file, which the tarball does not contain
mkdir "$collection/tests"
cp tests/config.yml "$collection/tests/"
git -C "$collection" init --quiet

# ansible-test would download a specific version of pip for its environments. This script installs Python's bundled pip instead, in files with
# the names that this ansible-core expects, in a separate home directory.
home=$work/home
mkdir -p "$home/.ansible/test/cache"
sed -n "s/^ *pip='\([0-9.]*\)'.*/\1/p" "$venv"/lib/python*/site-packages/ansible_test/_internal/python_requirements.py |
while read -r version; do
    cat >"$home/.ansible/test/cache/get_pip_$(printf %s "$version" | tr . _).py" <<'PYTHON'
import ensurepip
ensurepip.bootstrap()
PYTHON
done
for settings in .config .pip; do
    if [ -e "$HOME/$settings" ]; then ln -sfn "$HOME/$settings" "$home/$settings"; fi
done

PATH=$venv/bin:$PATH
cd "$collection"
HOME=$home exec ansible-test sanity --python "$python" --color no
