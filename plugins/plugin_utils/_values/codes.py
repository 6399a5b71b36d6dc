# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of all problems that the checks of the variables report.

A code is public: it keeps its meaning, and a removed code is not used again. tools/error_codes.py writes docs/reference/errors.md
from this table.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Code(NamedTuple):
    """The meaning of a code, and its remedy, which a check can replace with a more specific one."""

    meaning: str
    remedy: str


def parse(table: str) -> dict[str, dict[str, Code]]:
    """Return the codes in *table* by section. Each code has a line ``code: meaning -> remedy``, which indented lines continue."""
    sections: dict[str, dict[str, Code]] = {}
    for line in filter(None, re.sub(r"\n +", " ", table).splitlines()):
        if line.startswith("# "):
            codes = sections[line[2:]] = {}
        else:
            code, text = line.split(": ", 1)
            if any(code in known for known in sections.values()):
                raise ValueError(f"the code {code} is listed twice")
            codes[code] = Code(*text.split(" -> "))
    return sections


SECTIONS = parse("""
# All variables
variable-unknown: The name starts with asgi_, but no variable of this collection has it. -> correct the name, or use another prefix for your
    own variables
required-missing: A required variable is not set. -> set the variable
value-null: The value is null. -> remove the variable for its default, or set a value
template-failed: The template in the value cannot be evaluated. -> fix the template
type-wrong: The type of the value differs from its specification. -> set a value of the documented type
value-invalid: The value is not one of those in its specification. -> set one of the documented values
key-unknown: A dictionary contains an unknown key. -> correct the key
date-unquoted: YAML parses the value as a date. -> quote the value
character-not-allowed: The value contains a line break or a control character. -> use one line of text without control characters
boolean-invalid: The value is not a boolean. -> set true or false
number-out-of-range: The number is not an integer within the allowed range. -> set a number within the range
choice-invalid: The value is not one of the choices. -> set one of the choices
text-empty: The value is not a string, or is empty. -> set a string
path-invalid: The value is not a path. -> set the path of a file on the controller
port-out-of-range: The port does not exist. -> use a port from 1 to 65535
port-duplicate: Two listeners of one app use the same port. -> use a different port for each
address-invalid: The value is neither an address nor a network. -> use an address or network such as 192.0.2.7, 10.1.0.0/24 or 2001:db8::/32
http-status-invalid: The list contains no HTTP status, or an invalid one. -> list statuses from 100 to 599
size-invalid: The value is not a size in nginx's format. -> use a number and k, m or g, such as 10m; 0 removes the limit
file-unreadable: The file cannot be read on the controller. -> set the path of a file that you can read on the controller
file-encrypted: ansible-vault encrypted the file. -> decrypt it: ansible-vault decrypt FILE
file-not-utf8: The file is not encoded in UTF-8. -> save it in UTF-8
hook-file-missing: The hook is not an absolute path of an existing file. -> set the absolute path of a task file on the controller, such as
    {{ inventory_dir }}/hooks/migrate.yml

# Application
app-name-invalid: The value is not a valid app name. -> use a name such as 'hello' or 'web-shop'
uninstall-name-mismatch: The app to remove is not the app of the host. -> set it to the name of the app to remove, and limit the run to its
    hosts with --limit
import-path-invalid: The value is not the import path of an application. -> use 'package.module:attribute', such as 'main:app', or a
    call of a factory with literal arguments, such as 'main:create_app(debug=False)'
clients-invalid: The number of clients is invalid. -> use 'auto' or an integer within the range
environment-invalid: The environment contains an invalid name or value. -> use names such as DATABASE_URL and scalar values
python-invalid: The interpreter is neither auto, a version, nor a command. -> use auto, a version such as '3.13', a command such as
    python3.12, or an absolute path
python-unavailable: Neither a supported distribution nor the pinned uv has a Python that the app accepts. -> set another version
python-download-failed: The controller cannot download the CPython that a host needs. -> check that the controller can reach the server
python-mirror-invalid: The value is not the URL of a mirror. -> use a URL that starts with https:// or file:///
uv-version-invalid: The version of uv is not exact. -> set an exact version of uv, such as 0.13.8
uv-version-too-old: The version of uv cannot provide a wheelhouse. -> set a newer version of uv
uv-hashes-missing: The collection has no hashes of this version of uv, or a hash in asgi_app_uv_hashes is invalid. -> set asgi_app_uv_hashes
    to the hashes of the version's wheels
uv-hash-mismatch: The index serves a wheel of uv with an unexpected hash. -> check the index
uv-binary-missing: The uv binary does not exist on the controller. -> set the path of uv on the controller
uv-binary-not-executable: The uv binary is not executable. -> make it executable: chmod +x FILE
ca-bundle-missing: The CA bundle does not exist on the controller, which resolves the requirements. -> set the path of a PEM file that
    exists on the controller, because asgi_app_wheelhouse is true
ca-bundle-not-absolute: The CA bundle is not an absolute path. -> set the absolute path of a PEM file on the host
requirement-invalid: The entry is not a requirement. -> write it as a requirement, such as orjson>=3.10 or name @ https://.../name.whl
requirement-refused: The installers would read the requirement from an unsafe place. -> use a package of an index
requirement-variable-unset: A requirement contains an environment variable that the build environment does not set. -> set it in
    asgi_app_build_env if the index may receive its value
requirement-outside-source: A requirement is a directory outside of the source tree. -> move it into the tree
requirements-unresolvable: uv cannot resolve, fetch or build the requirements. -> change the requirements
server-requirement-missing: The application server's packages are not among its requirements. -> add the packages; versions may be pinned
installer-cannot-read-lock: pip cannot install from uv.lock or pylock.toml. -> set asgi_app_installer to uv, or add the lock to
    asgi_app_exclude_extra
wheel-missing: A package has no wheel for the Python of a host. -> require a version that has a wheel
wheel-hash-mismatch: The index serves a wheel with an unexpected hash. -> check the index
wheelhouse-platform-unsupported: The controller cannot provide wheels for the Python of a host. -> install a 64-bit CPython on glibc there,
    or set asgi_app_wheelhouse to false
python-does-not-fit: The requirements do not support the Python of a host. -> use a Python that they support
exclude-pattern-invalid: The pattern is empty, or leads out of the source. -> use names or patterns such as *.log, or docs/build for a path
    below the root of the source
index-url-invalid: The value is not the URL of a package index. -> use a URL that starts with https://
transport-insecure: The transport does not authenticate the server, so an on-path attacker can replace the content. -> use https:// or SSH,
    or set asgi_app_insecure_transports
audit-url-invalid: The value is not a URL. -> set the https:// URL of a database with the API of OSV
advisory-id-invalid: The value is not the id of an advisory. -> list ids such as CVE-2014-1402
package-name-invalid: The value is not the name of a Debian package. -> list names of packages, such as libpq5
command-invalid: The list is not a program and its arguments. -> write the program and each argument as an element of the list, such as
    [alembic, upgrade, head]

# Source
source-directory-missing: The source is not a directory on the controller. -> set the directory that contains the application
source-key-unsuitable: This kind of source does not support the key. -> remove the key
source-subdirectory-invalid: The subdirectory is not a path below the root of the source. -> set a relative path, such as backend
source-subdirectory-missing: The source does not contain the subdirectory. -> set an existing directory of the source
source-shared-invalid: A shared path is not below the root of the app, or is inside another shared path. -> list paths such as media/ or
    db.sqlite3
source-shared-occupied: The source contains a file at a shared path, which the app would not see. -> add it to asgi_app_exclude_extra
source-unreadable: The source cannot be read. -> make it readable, or add it to asgi_app_exclude_extra
source-empty: The source contains no file. -> set the directory that contains the application
source-incomplete: The source contains empty git submodules or Git LFS pointers. -> fetch them: set submodules to true, install git-lfs on
    the controller, or run git submodule update --init --recursive and git lfs pull in the directory
source-special-file: The source contains a device, a socket or a named pipe. -> remove it, or add it to asgi_app_exclude_extra
source-declarations-refused: A file that declares requirements is unsafe or invalid. -> correct that file
symlink-outside-source: A symlink leads out of the source. -> make it a relative link within the tree
lock-without-project: The source has a lock file, but no project file that belongs to it. -> add the project's pyproject.toml or Pipfile
lock-not-used: The source has a lock file that would be ignored. -> select a lock with asgi_app_source.requirements, or exclude the others
lock-outdated: The lock file does not match the declared dependencies. -> update the lock, and commit it
lock-not-exported: The controller cannot export the lock file. -> update the lock, or check that the controller can reach the index
requirements-file-missing: The source does not contain the file. -> set the path relative to the root of the app
requirements-file-unsupported: The files cannot be installed together, or their format is not supported. -> set one lock file, or
    requirements files
selection-unknown: The source does not define the group or the extra. -> correct or remove it
selection-without-tree: The variable selects dependencies of a source tree, but the source is a package. -> remove the variable
editable-wheelhouse: An editable project cannot be installed from a wheel, because it refers to its source on the host. -> set
    asgi_app_install_project to auto, or asgi_app_wheelhouse to false
project-missing: The source contains no project to install. -> set asgi_app_install_project to auto
project-not-installed: The project computes its dependencies when it is built, but it is not installed. -> set asgi_app_install_project to
    true
project-file-invalid: The pyproject.toml is not valid. -> correct that file
dependencies-undeclared: Warning: the source declares no dependencies. -> add a requirements.txt
package-not-pinned: The package is not pinned to one version. -> write it as name==version
archive-missing: The archive is not a file on the controller. -> set the path of a tar or zip file
archive-url-invalid: The value is neither a URL nor a path. -> set an https:// URL, or a path on the controller
archive-checksum-missing: An archive with a URL has no checksum. -> set asgi_app_source.checksum
archive-checksum-invalid: The value is not a SHA-256. -> write it as sha256: and 64 hexadecimal digits
archive-checksum-mismatch: The SHA-256 of the archive differs from the checksum. -> compare it with the published checksum
archive-download-failed: The archive cannot be downloaded. -> check the URL and the connection from the controller
archive-unreadable: The archive is incomplete, encrypted, or in an unsupported format. -> set a complete tar or zip file
archive-unsafe: The archive contains a path that leads outside it, a device, or another special file. -> make the archive from a directory
wheel-invalid: The value is not the path of one wheel. -> set the path of one wheel on the controller
git-url-invalid: The value is not the URL of a git repository. -> set the URL of the repository
git-ref-invalid: The value cannot be a git reference. -> set a branch, a tag or a commit id
git-ref-not-found: The repository does not contain the reference. -> set an existing branch, tag or commit id
git-fetch-failed: The repository cannot be fetched. -> set a repository that the controller can read without a password prompt
git-submodule-failed: A submodule cannot be fetched. -> make its commit available to the controller, or exclude it
git-lfs-failed: The Git LFS files cannot be fetched. -> push them to the server of the repository, or exclude them
git-timeout: The repository does not answer in time. -> check that the controller reaches it
git-not-installed: git is not installed on the controller. -> install git there, or deploy from a path

# Application server
workers-invalid: The number of workers is invalid. -> use 'auto' or a number of at least 1
workers-range-inverted: The maximum number of workers is below the minimum. -> raise the maximum, or lower the minimum
workers-not-supported: The server is a single process. -> remove the variable, or use uvicorn_worker
worker-memory-invalid: The memory of a worker is invalid. -> use a number of MiB of at least 1, or 'measured'
threads-not-supported: The workers have an event loop instead of threads. -> remove the variable
max-requests-not-supported: The server is a single process, which cannot be replaced after a number of requests. -> remove the variable, or
    use uvicorn_worker
metrics-not-supported: The server has no metrics: only gunicorn's ASGI workers have them. -> set it to false, or use uvicorn_worker or
    gunicorn_asgi
watchdog-too-short: The watchdog would restart the whole service before gunicorn replaces a worker that hangs. -> set asgi_server_watchdog
    above asgi_server_timeout, or to 0 to disable it
keepalive-order: The app would close idle connections that nginx is about to use, and lose requests. -> set asgi_server_keepalive several
    seconds above asgi_proxy_upstream_keepalive_timeout
probe-path-invalid: The value is not a path of a URL. -> use a path that starts with '/', such as '/health'
probe-path-ambiguous: nginx rejects or normalises the path, so the app would receive another one. -> remove '.', '..' and empty segments
    from the path
probe-path-restricted: The site restricts access to the probe path, so a deploy could not probe the app through nginx. -> set
    asgi_proxy_health_url to the path, which keeps it open
probe-host-invalid: The value is not a host name. -> set a host name that the app accepts
memory-limit-invalid: The value is not a size in systemd's format. -> use a size such as '512M' or '2G'
cpu-quota-invalid: The value is not a percentage of a CPU. -> use a percentage of one CPU, such as '150%'
path-not-absolute: The value is not an absolute path that systemd reads literally. -> use absolute paths without '..', colons and spaces
working-directory-invalid: The value is not a directory that the app may use. -> use 'code', 'shared', or a directory below it such as
    'shared/data'
gunicorn-hooks-invalid: The value is not the path of a Python file in the source. -> use a path relative to the code, such as
    'deploy/gunicorn_hooks.py'
gunicorn-hooks-not-supported: The server runs without gunicorn. -> remove the variable, or use uvicorn_worker
server-setting-unknown: The server does not have the setting, or the collection does not support it. -> correct the name
server-setting-reserved: The collection depends on this setting of the server. -> use the variable that the message names
server-setting-not-supported: The setting belongs to a different server type. -> remove it, or change asgi_server_type
server-setting-value-invalid: The value of a setting of the server is invalid. -> use a value as documented by the server
unit-setting-invalid: The name is not that of a systemd setting. -> use settings of systemd.exec(5)
unit-setting-reserved: The slots, the socket or the drain depend on this setting. -> remove it
unit-setting-public: Every account of the host could read the value. -> move it to asgi_env, which only root and the app can read
unit-setting-root-directory: systemd would give a directory of root to the app's account. -> use a directory of the app
unit-setting-value-invalid: The value cannot be written to a unit file. -> use one line of text without a trailing backslash, or a list of
    such lines
process-name-invalid: The name of a process or timer cannot be part of a unit's name. -> use 1 to 31 lower-case letters, digits, '_' and '-'
    that start with a letter
process-name-duplicate: A timer and a process have the same name. -> rename one of them
process-command-missing: A process or timer has no command. -> set a list of a program and its arguments
process-command-invalid: The command is not a list of a program and its arguments, each of them one line of text. -> use a list such as
    [celery, -A, shop.tasks, worker]; no shell is involved
process-exclusive-instances: An exclusive process must not run twice at once. -> set instances to 1, or exclusive to false
process-signal-invalid: The value is not a signal that a process can handle. -> use a signal such as SIGTERM, SIGINT or SIGQUIT
process-ready-invalid: The readiness check is neither a number of seconds nor a command. -> use {seconds: 3}, or {command: [...], timeout:
    30}
timer-schedule-missing: A timer has no schedule. -> set a calendar expression or an interval
timer-schedule-invalid: The schedule is neither a systemd calendar expression nor an interval that evenly divides a minute, an hour or a
    day. -> use an expression such as '*-*-* 03:30' or 'Mon 04:00' (check it with systemd-analyze calendar), or an interval such as '15min'
log-namespace-invalid: The value is not a journal namespace. -> use 1 to 64 letters, digits, '_' and '-', such as 'shop'
metrics-listen-invalid: The value is neither an address with a port nor a path. -> use an address and a port, such as '127.0.0.1:9464', or
    the path of a unix socket
metrics-socket-outside-run: The unix socket is not below /run. -> use a path below /run
metrics-allow-unused: Clients of a unix socket have no address. -> leave the list empty, or set asgi_server_metrics_listen to an address and
    a port
metrics-buckets-invalid: The buckets are not ascending numbers above 0. -> list seconds above 0 in ascending order
metrics-directory-reserved: asgi_server_metrics sets this environment variable. -> remove it: the endpoint also serves the app's own metrics
group-invalid: The value is not the name of a group. -> set the name of a group, such as 'adm'

# Names, TLS and certificates
server-names-empty: The site has no server name. -> list the DNS names that clients use, such as app.example.org
server-name-invalid: The value is not a DNS name. -> use lower case without scheme, port and path, such as app.example.org or *.example.org
server-name-is-address: The value is an address. -> use a DNS name: clients send no address in the TLS handshake, so it cannot select a site
server-name-duplicate: The name is listed more than once. -> list it once
redirect-target-wildcard: Clients would be redirected to the first server name, which is a wildcard. -> list a name without '*' first
hsts-preload-incomplete: Browsers' preload list does not accept the name with these settings. -> set the variables that the list requires,
    or remove this one
tls-variable-unused: The TLS provider does not use this variable. -> remove the variable, or set another provider
tls-file-missing: The certificate or its key is not set. -> set exactly one of the two variables
tls-file-ambiguous: The certificate or its key is given as a file and as text. -> set exactly one of the two variables
key-file-world-readable: Every account of the controller can read the key. -> restrict its permissions: chmod 600 FILE
cryptography-missing: The controller cannot check certificates. -> install the package cryptography for the Python of ansible-core
certificate-not-pem: The text contains no readable PEM certificate. -> set the text that starts with -----BEGIN CERTIFICATE-----, or the
    file that contains it
certificate-contains-key: The file of the certificate contains a private key. -> remove the key: it has its own variable
certificate-contains-garbage: The value contains text between its certificates that is neither a certificate nor a comment. -> remove
    the text between -----END CERTIFICATE----- and -----BEGIN CERTIFICATE-----
certificate-order-wrong: The chain is not in order. -> put the server's own certificate first, then its issuer, and so on
certificate-duplicate: The chain contains a certificate twice. -> remove one of the two
certificate-expired: The provided certificate has expired. -> set a renewed certificate
certificate-not-yet-valid: The certificate is not valid yet. -> wait, or correct the controller's clock
certificate-is-ca: The certificate is that of a certificate authority, which browsers reject for a server. -> use one that the authority has
    signed, or a self-signed one with basicConstraints=CA:FALSE
certificate-not-for-servers: The certificate is not for servers. -> request one with the extended key usage serverAuth
certificate-name-missing: The certificate does not cover all names of the site. -> request one with every server name, or remove the name
certificate-hash-weak: The certificate is signed with a broken hash. -> request one that is signed with SHA-256
certificate-key-weak: The key of the certificate is too short. -> request one with a longer key, or with an ECDSA key
certificate-key-unsupported: The key is neither RSA nor elliptic curve. -> request one with an ECDSA key
key-not-pem: The text contains no readable PEM private key. -> set the text that starts with -----BEGIN PRIVATE KEY-----, or the file that
    contains it
key-encrypted: A passphrase protects the key, so the server could not start by itself. -> remove the passphrase: openssl pkey -in KEY -out
    PLAIN_KEY
key-mismatch: The key does not belong to the certificate. -> set the key of this certificate
stapling-without-issuer: A self-signed certificate has no issuer that could answer OCSP requests. -> set it to false, or set another
    asgi_proxy_tls_provider
acme-wildcard: ACME servers issue no wildcard certificates by http-01. -> list the names themselves, or set the TLS provider to 'provided'
acme-terms-not-accepted: The terms of service of the ACME server are not accepted. -> read the terms of service, and set it to true if you
    agree
acme-directory-invalid: The value is not the URL of an ACME directory. -> set the https URL of an ACME directory, such as
    https://acme-v02.api.letsencrypt.org/directory
acme-mail-invalid: The value is not a mail address. -> set one mail address, such as admin@example.org
acme-eab-incomplete: Only one half of the external account binding is set. -> set both halves as the operator of the ACME server issued
    them, or neither
acme-eab-invalid: The value cannot be part of an external account binding. -> set it as the operator of the ACME server issued it
acme-balancer-on-app-host: The balancer and the app would write their certificates to the same path of one host. -> run the app and its
    balancers on different hosts, or set another provider

# Site
trusted-everyone: The network contains all addresses. -> list the addresses of the balancers
trusted-header-not-allowed: Proxies cannot set this header. -> remove it
trusted-header-unused: No proxy can set the trusted headers. -> list the addresses of the proxies in asgi_proxy_trusted
balancer-option-unused: The option is for load balancers in asgi_proxy_trusted, but applies to none. -> list their addresses in
    asgi_proxy_trusted
trusted-http-without-redirect: nginx redirects plain HTTP that does not come from the load balancer. -> set asgi_proxy_redirect to true
proxy-protocol-untrusted: No sender of the PROXY protocol is trusted. -> list the addresses of the balancers in asgi_proxy_trusted
http3-with-proxy-protocol: UDP has no PROXY protocol. -> set one of the two variables to false
header-buffer-invalid: The value is not a size from 1k to 64k. -> use 1k to 64k, such as 16k
header-name-invalid: The value is not the name of a header. -> use a name such as X-Frame-Options
header-value-invalid: nginx cannot represent the value. -> use a string without '$' and control characters
header-reserved: Other variables configure this header. -> set asgi_proxy_hsts_max_age instead
header-duplicate: The header is listed more than once; case does not matter. -> list it once
static-url-invalid: The value cannot be the URL of static files. -> use letters, digits, and . _ ~ - in each segment, none starting with a
    dot, and at most 1000 characters
static-directory-ambiguous: An entry has no directory, or more than one. -> set path for files of the source tree, or shared for files that
    the app writes
static-internal-caching: The options have no effect, because the app sets Cache-Control of internal files. -> remove hashed and immutable,
    or internal
static-shared-symlinks: The app could create symlinks to files in other directories, which nginx would serve. -> remove follow_symlinks, and
    let the app copy or move the files
static-path-invalid: The value is not a valid directory for static files. -> use a relative path without '..': letters, digits, and . _ ~ -
    in each segment, none starting with a dot, and at most 1000 characters
proxy-path-invalid: The value is not a valid path for an app. -> use letters, digits, and . _ ~ - in each segment, such as /api, without '/'
    at the end, and at most 200 characters
proxy-path-names: An app with asgi_proxy_path lists several server names. One name selects the site of the owner, with all of its names. ->
    list one name
proxy-path-owner: Only the app that owns the server name can set this variable. -> set it for that app
proxy-path-outside: The URL is outside the path of the app, so requests reach the app that owns the server name. -> start it with
    asgi_proxy_path, or set asgi_proxy_strip_path to true
url-duplicate: The URL is listed more than once. -> list each URL once
location-url-invalid: The value cannot be the URL of a location. -> use letters, digits, and . _ ~ - in each segment, none empty or starting
    with a dot, and at most 1000 characters
location-below-static: nginx serves the URL from static files and does not pass it to the app. -> remove it, or serve those files under
    another URL
rate-invalid: The value is not a rate. -> use requests per second or minute, such as 5r/s or 30r/m
burst-without-rate: A burst has no effect without a rate. -> set the rate too, or remove the burst
realm-invalid: nginx cannot represent the realm. -> remove the character
preflight-without-auth: The location needs no password, so preflight requests reach the app without cors_preflight. -> set basic_auth for
    the location or around it, or remove cors_preflight
realm-off: nginx reads the realm 'off' as disabled authentication. -> use '' to disable authentication, or another realm to enable it
basic-auth-without-users: No user could authenticate. -> set asgi_proxy_users
user-name-invalid: The name of a user is invalid. -> use letters, digits, and . _ @ + -
password-hash-invalid: The value is not a hash that nginx can verify quickly. -> use the output of `openssl passwd -6`, which starts with
    $6$
password-hash-slow: nginx would compute too many rounds for every request. -> use a hash with fewer rounds, such as the output of `openssl
    passwd -6`
health-url-invalid: The value is not a path of the app. -> use a path such as /health
health-url-conflict: The health URL is open to all clients, but another variable configures the same URL. -> use a URL that only the app
    serves, or remove the other entry
query-parameter-invalid: nginx has no variable for the query parameter. -> use lower-case letters, digits and '_', or set
    asgi_proxy_log_query to log the whole query
query-parameter-duplicate: The query parameter is listed more than once. -> list it once
log-query-redundant: asgi_proxy_log_query already logs the whole query. -> remove one of the two variables
status-listen-invalid: The value is not a loopback address with a port. -> use a loopback address and a port, such as 127.0.0.1:8090
snippet-invalid: The snippet is not nginx configuration. -> correct it
snippet-directive-reserved: The site or a variable sets the directive, or it has no effect in this place. -> use the variable that belongs
    to it
snippet-location-duplicate: The site already has the location. -> put the directives into the snippet of an entry in asgi_proxy_locations
snippet-drops-headers: The location would pass the client's own X-Forwarded-For and similar headers to the app. -> list the URL in
    asgi_proxy_locations, and put proxy_set_header into its snippet

# Load balancer
backends-empty: The balancer has no hosts to balance. -> set the asgi_name of an app with hosts in the group asgi, or set asgi_hosts to
    their group
backend-name-invalid: HAProxy cannot use the name of the host. -> rename the host in the inventory
backend-address-invalid: The value is neither an address nor a host name. -> set asgi_balancer_address of that host to an address or a name
backend-duplicate: The host is listed more than once. -> list each host once, with its own name
balancer-trusted-empty: The hosts' nginx would treat the balancer as the client. -> list the addresses of the balancers in
    asgi_proxy_trusted of the hosts
balancer-not-trusted: Warning: asgi_proxy_trusted of the hosts does not contain the address of the balancer. -> add the address, and run
    site.yml
balancer-proxy-protocol: The balancer sends HTTPS to nginx, without the PROXY protocol. -> set it to false there; the client's address is in
    X-Forwarded-For
balancer-peer-invalid: The peer has no usable address. -> set asgi_balancer_address of that balancer
balancer-peers-without-self: The peers do not contain this balancer. -> add its address, or set asgi_balancer_address to the one in the list
balancer-peers-too-few: A virtual address needs two balancers. -> add both balancers to the group asgi_balancers with the same asgi_name,
    each with an asgi_balancer_address
virtual-ip-incomplete: Some of the variables for the virtual address are not set. -> set all three, or none
virtual-ip-invalid: The value is not an IPv4 address with a prefix length. -> use an IPv4 address with the prefix length of its network,
    such as 192.0.2.10/24
interface-name-invalid: The value is not the name of an interface. -> use the name of an interface, such as eth0
vrrp-password-invalid: VRRP limits passwords to 8 characters. -> use 1 to 8 letters and digits, the same on all balancers
virtual-ip-taken: Balancers with different peers have the same virtual address. -> use a different address for each group of balancers
virtual-ip-differs: Peers have different virtual addresses. -> set the same address for both
router-id-differs: Balancers with the same virtual address have different router ids. -> set the same id for both
router-id-duplicate: Balancers with different virtual addresses have the same router id. -> use a different id for each virtual address

# Several apps on one machine
machine-app-duplicate: Two inventory names of one machine have the same app. -> remove one of them, or set another asgi_name for it
machine-path-duplicate: Two apps of one machine have the same path under one server name. -> choose another asgi_proxy_path for one of them
machine-path-overlap: The app that owns a server name configures a URL below the path of another app. -> configure the URL in the variables
    of the other app
machine-server-name-duplicate: Two apps of one machine have the same server name. -> set different server names for each app
machine-port-duplicate: Two apps of one machine use the same port. -> set a different port for each
machine-port-settings-differ: Two apps share a port, but not a setting of the port. -> set the same value for both, or use another port

# Playbooks
play-variable-differs: The variable applies to a whole play, but its hosts have different values. -> set the same value for all hosts of the
    play, or run one play for each app (-e asgi_hosts=<group>)
file-shared-by-hosts: Several hosts would write the same file. -> put {{ inventory_hostname }} into the path, or tune one host (--limit)
batches-invalid: The value is not a list of batch sizes. -> use sizes such as 1, '25%' or [1, '25%', '100%']
webhook-url-invalid: The value is not the URL of a webhook. -> use a URL that starts with https://
webhook-header-invalid: The value is not a dictionary of HTTP headers. -> use a dictionary such as {Authorization: Bearer ...}
command-line-invalid: The value is not a command line. -> use a command line such as 'alembic current', or a list of its arguments
maintenance-without-work: The maintenance has nothing to do. -> set asgi_maintain_tasks to a task file that runs on each drained
    host; or set asgi_maintain_upgrade=true to upgrade packages, or asgi_maintain_reboot=true or =if-required
tune-budget-too-small: The time budget does not suffice for one round. -> measure fewer candidates, or for fewer seconds, or raise the
    budget
tune-single-process: The server is a single process, so there is no number of workers to tune. -> exclude this host (--limit), or use
    uvicorn_worker
tune-workers-invalid: The value is not a list of numbers of workers. -> list integers of at least 1, such as 1,2,4
tune-path-invalid: The path to measure is not a path of a URL. -> use a path of the app without spaces, such as '/items?limit=10'
tune-headers-invalid: The value is not a dictionary of request headers. -> set a dictionary of strings in a file
""")
CODES: dict[str, Code] = {code: entry for codes in SECTIONS.values() for code, entry in codes.items()}
