#!/bin/sh
# test_tarball.sh TARBALL: install the collection as users do, and check that Ansible can read its playbooks, roles and plugins.
set -eu
tarball=$(readlink -f "$1")
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
export PATH

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
# not the ansible.cfg of the checkout
touch "$directory/ansible.cfg"
export ANSIBLE_CONFIG="$directory/ansible.cfg" ANSIBLE_HOME="$directory/home" ANSIBLE_COLLECTIONS_PATH="$directory/collections"
ansible-galaxy collection install --offline --collections-path "$directory/collections" "$tarball"
ansible-galaxy collection verify --offline asgi.deploy

collection=$directory/collections/ansible_collections/asgi/deploy
for playbook in "$collection"/playbooks/*.yml; do
    ansible-playbook --syntax-check --inventory "$collection/inventories/example" "asgi.deploy.$(basename "$playbook" .yml)"
done
for kind in module filter callback role; do
    # a collection whose documentation Ansible cannot read prints a warning and an empty list
    ansible-doc --type "$kind" --list --json asgi.deploy >"$directory/$kind.json" 2>"$directory/warnings"
    test ! -s "$directory/warnings" || { cat "$directory/warnings"; exit 1; }
    grep --count 'asgi\.deploy\.' "$directory/$kind.json" | sed "s/$/ lines of ${kind}s/"
done
