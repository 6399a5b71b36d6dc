"""Compare owner, group and mode of all files on a machine with a table.

Each path below ROOTS must belong to a package, the distribution or a row of the table; any other path is a fault. To add a path, add a
row to a table: a pattern, and type, ``owner:group`` and mode as find(1) prints them. ``{app}`` stands for the name of an app, the same in
the pattern and the value::

    "/srv/{app}/shared": "d {app}:{app} 750",
    r"/etc/asgi/{app}/tls/live\\.pem": "f root:root 600",
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

# These exclude /proc, /sys, /dev and most of /usr, which belong to the kernel and to packages.
ROOTS = "/etc /home /opt /root /run /srv /tmp /usr/local /var"

# Directories to skip: those that package managers, systemd and administrators' commands write to, and those with files of a release's
# packages, a build account or the app.
PRUNED = (
    "/srv/*/releases/*/code/* /srv/*/releases/*/.venv/* /srv/*/shared/* /srv/*/cache/* /opt/asgi/python/*/* /var/cache/asgi/apps/*/* "
    "/var/cache/asgi/wheels/* /etc/alternatives/* /etc/rc?.d/* /etc/ssl/certs/* /etc/pam.d/* /root/.ansible/* /root/.ssh/* /run/sudo/* "
    "/run/systemd/* /run/udev/* /run/user/* /run/credentials/* /run/dbus/* /var/cache/apt/* /var/cache/debconf/* "
    "/var/lib/apt/* /var/lib/dpkg/* /var/lib/pam/* /var/lib/python/* /var/lib/systemd/* /var/log/apt/* /var/log/journal/* "
    "/run/log/journal/* /tmp/.*-unix/* /tmp/ansible_* */systemd-private-*/tmp/*"
)
# Directories with a separate check, although PRUNED skips them: an account that can write to one of their files is effectively root.
SYSTEMD = "/run/systemd/system /run/systemd/transient /run/systemd/system.control /run/systemd/generator"

# Patterns of names that maintainer scripts, systemd, Docker and tests/hosts create, by directory and separated by spaces.
NAMES = {
    "": "etc home opt root run srv tmp var usr/local",
    "/etc": r"""\.pwd\.lock \.updated ca-certificates\.conf default/locale dpkg/origins/default environment fstab g?shadow-? group-? passwd-?
        hostname hosts hosts\.(allow|deny) inputrc ld\.so\.cache localtime timezone locale\.conf machine-id motd mtab networks nsswitch\.conf
        apt/sources\.list opt profile python3(/debian_config)? resolv\.conf security/opasswd shells sub[gu]id-? vconsole\.conf
        sudoers\.d/hardened X11(/.*)? runit(/.*)? ssh/(sshd_config|ssh_host_\w+_key(\.pub)?)""",
    "/etc/systemd": r"""user/[\w.-]+\.wants(/.*)? system/(dbus-org\.[\w.]+|syslog|sshd|ssh)\.(service|socket)
        system/[\w@-]+\.(target|service|socket)\.(wants|requires)""",
    r"/etc/systemd/system/[\w@-]+\.(target|service|socket)\.wants": r"""(apt|certbot|console|dpkg|e2scrub|fstrim|getty|haproxy|keepalived)[\w@.-]*
        (logrotate|man-db|nginx|remote-fs|remote-cryptsetup|rsyslog|sshd?|systemd)[\w@.-]*""",
    "/root": r"\.(ansible|bashrc|profile|ssh|cache)",
    "/run": r"""adduser agetty\.reload blkid(/.*)? console-setup credentials dbus initctl keepalived(/keepalived)?\.pid lock(/.*)? log(/journal)?
        motd.* mount(/.*)? nginx\.pid runit(/.*)? screen sendsigs\.omit\.d setrans shm sshd(\.pid)? sudo systemd udev user utmp""",
    "(/var)?/tmp": r"systemd-private-[0-9a-f]{32}-[\w@.\\-]+-\w{6}(/tmp)? \.[\w-]+-unix",
    "/usr/local": r"""(bin|etc|games|include|lib(exec)?|man|sbin|src|share) lib/python[\d.]+(/dist-packages)?
        share/(ca-certificates|man|fonts|sgml|xml)(/.*)?""",
    "/var": r"""\.updated lock mail opt run spool/mail spool/cron/crontabs www www/html(/index\.nginx-debian\.html)?
        cache/(ldconfig/aux-cache|man(/.*)?|private|fontconfig(/.*)?)""",
    "/var/lib": r"""dbus/machine-id deb-systemd-\w+(/.*)? logrotate/status man-db(/.*)? private(/.*)? python shells\.state sudo(/.*)? ucf(/.*)?
        wtmpdb(/.*)?""",
    "/var/log": r"README (alternatives\.log|btmp|dpkg\.log|wtmp)(\.\d+(\.gz)?)? faillog fontconfig\.log journal lastlog private tallylog wtmp\.db",
    # dpkg-db-backup.timer, at midnight
    "/var/backups": r"(alternatives\.tar|apt\.extended_states|dpkg\.\w+)\.\d+(\.gz)?",
}
DISTRIBUTION = "|".join(f"{directory}/({'|'.join(names.split())})" for directory, names in NAMES.items())


ID = r"[\w.+-]+"
DIGEST = "[0-9a-f]{12}"

TLS = {
    "/etc/asgi(/{app})?": "d root:root 755",
    "/etc/asgi/{app}/tls": "d root:root 700",
    r"/etc/asgi/{app}/tls/live\.pem": "f root:root 600",
}
# Roles asgi_app, asgi_server and asgi_proxy.
APP = {
    "/srv/{app}": "d root:root 755",
    "/srv/{app}/(cache|shared)": "d {app}:{app} 750",
    "/srv/{app}/(configs|releases|slots|slots/(blue|green))": "d root:root 755",
    r"/srv/{app}/\.(build\.)?lock": "f root:root 600",
    r"/srv/{app}/releases\.json": "f root:root 600",
    r"/srv/{app}/metrics_exporter\.py": "f root:root 644",
    f"/srv/{{app}}/releases/{ID}(/code|/\\.venv)?": "d root:root 755",
    f"/srv/{{app}}/releases/{ID}/(release|sbom\\.cdx)\\.json": "f root:root 644",
    f"/srv/{{app}}/configs/{DIGEST}": "d root:{app} 750",
    f"/srv/{{app}}/configs/{DIGEST}/env": "f root:{app} 640",
    f"/srv/{{app}}/configs/{DIGEST}/[\\w.]+\\.(py|json|conf|unit)": "f root:{app} 644",
    "/srv/{app}/(current|staged|slots/(blue|green)/(config|release))": "l root:root 777",
    **TLS,
    r"/etc/nginx/asgi-no-sni\.pem": "f root:root 600",
    "/etc/asgi/{app}/htpasswd": "f root:www-data 640",
    r"/etc/nginx/conf\.d/asgi-(00-(hashes|shared)|01-default-\d+|{app})\.conf": "f root:root 644",
    r"/etc/nginx/conf\.d/asgi-(00-\w+-[0-9a-f]{8}|{app}@[\w.-]+)\.inc": "f root:root 644",
    r"/var/log/nginx/({app}\.)?(access|error)\.log(\.\d+(\.gz)?)?": "f www-data:adm 640",
    r"/opt/asgi(/bin|/uv-[\d.]+(-pinned)?)?": "d root:root 755",
    r"/opt/asgi/(bin|uv-[\d.]+(-pinned)?)/uv": "f root:root 755",
    r"/opt/asgi/python(/cpython-[\w.-]+)?": "d root:root 755",
    r"/opt/asgi/python/\.lock": "f root:root 600",
    "/opt/asgi/commands": "d root:root 755",
    r"/opt/asgi/commands/{app}\.pyz": "f root:root 644",
    "/usr/local/bin/asgi": "f root:root 755",
    "/usr/local/share/bash-completion(/completions)?": "d root:root 755",
    "/usr/local/share/bash-completion/completions/asgi": "f root:root 644",
    # Build accounts can enter their app's cache, and open wheels by digest.
    "/var/cache/asgi(/apps|/wheels)?": "d root:root 711",
    "/var/cache/asgi/apps/{app}": "d _{app}:_{app} 700",
    r"/etc/tmpfiles\.d/asgi-{app}\.conf": "f root:root 644",
    r"/etc/systemd/system/{app}(@|-metrics)\.(socket|service)": "f root:root 644",
    r"/etc/systemd/system/{app}@(blue|green)\.service\.d": "d root:root 755",
    r"/etc/systemd/system/{app}@(blue|green)\.service\.d/slot\.conf": "f root:root 644",
    r"/etc/systemd/system/run-{app}-counters\.mount": "f root:root 644",
    r"/etc/systemd/system/[\w-]+\.target\.wants/{app}(@(blue|green)|-metrics)\.(socket|service)": "l root:root 777",
    # nginx's temporary files
    "/var/lib/nginx/(body|fastcgi|proxy|scgi|uwsgi)": "d www-data:root 700",
    r"/var/lib/nginx/(body|fastcgi|proxy|scgi|uwsgi)(/\d+)+": "d www-data:www-data 700",
    r"/run/asgi-nginx\.(changed|loaded)": "f root:root 644",
    r"/run/asgi-nginx\.lock": "f root:root 600",
    "/run/{app}": "d root:root 711",
    r"/run/{app}/(blue|green)\.sock": "s root:www-data 660",
    r"/run/{app}/live\.sock": "l root:root 777",
    "/run/{app}/counters(/(blue|green)(/[\\w.+-]+)?)?": "d {app}:{app} 750",
    r"/run/{app}/counters/(blue|green)/[\w.+-]+/\w+\.db": "f {app}:{app} 640",
}
# certbot and the module acme_certificate.
ACME = {
    "/etc/letsencrypt": "d root:root 755",
    "/etc/letsencrypt/(accounts|archive|live|keys)": "d root:root 700",
    "/etc/letsencrypt/(renewal|csr|renewal-hooks(/(deploy|post|pre))?)": "d root:root 755",
    r"/etc/letsencrypt/renewal/asgi-{app}\.conf": "f root:root 644",
    r"/etc/letsencrypt/(csr/\d+_csr-certbot\.pem|cli\.ini)": "f root:root 644",
    "/var/log/letsencrypt": "d root:root 700",
    "/var/lib/letsencrypt(/(backups|temp_checkpoint))?": "d root:root 755",
    # A killed certbot leaves these behind.
    r"/(etc|var/lib)/letsencrypt/\.certbot\.lock": "f root:root 600",
    "/var/lib/asgi(/{app}(/acme(/.well-known(/acme-challenge)?)?)?)?": "d root:root 755",
    r"/etc/asgi/{app}/(acme_deploy\.py|acme-ca\.pem)": "f root:root 644",
    r"/etc/systemd/system/certbot\.service\.d": "d root:root 755",
    r"/etc/systemd/system/certbot\.service\.d/asgi-{app}\.conf": "f root:root 644",
    r"/run/asgi-certbot\.lock": "f root:root 600",
}
# The content of directories that only root can enter, so its permissions do not matter.
ACME_PRUNED = "/etc/letsencrypt/accounts/* /etc/letsencrypt/archive/* /etc/letsencrypt/live/* /etc/letsencrypt/keys/* /var/log/letsencrypt/*"


def expected(path: str, table: Mapping[str, str], apps: Iterable[str]) -> str | None:
    """Return the expected type, owner and mode of *path* from the *table* of patterns, None if no pattern matches."""
    name = f"(?P<app>{'|'.join(apps)})"
    for pattern, value in table.items():
        match = re.fullmatch(pattern.replace("{app}", name, 1).replace("{app}", "(?P=app)"), path)
        if match:
            return value.replace("{app}", match.groupdict().get("app") or "")
    return None


def faults(
    run: Callable[[str], str],
    table: Mapping[str, str],
    apps: Iterable[str],
    others: str = "",
    prune: str = "",
    roots: str = ROOTS,
) -> list[str]:
    """Return the paths below *roots* that differ from *table*, and those that no table, package or distribution pattern contains.

    *run* executes a command on the machine. *others* is a pattern for more paths to ignore, *prune* contains find(1) patterns of
    more directories to skip.
    """
    ignored = re.compile(f"{DISTRIBUTION}|{others}" if others else DISTRIBUTION)
    packaged = set(run("cat /var/lib/dpkg/info/*.list").splitlines())
    pruned = " -o ".join(f"-path '{each}'" for each in f"{PRUNED} {prune}".split())
    find = rf"find {roots} -ignore_readdir_race \( {pruned} \) -prune -o -printf '%y %u:%g %m %p\n' 2>/dev/null || true"
    units = f"find {SYSTEMD} -ignore_readdir_race -type f -printf '%y %u:%g %m %p\\n' 2>/dev/null || true"
    listing = run(find)
    differing = []
    for line in listing.splitlines():
        kind, owner, mode, path = line.split(" ", 3)
        observed, value = f"{kind} {owner} {mode}", expected(path, table, apps)
        if value is None and path not in packaged and not ignored.fullmatch(path):
            differing.append(f"{path} is {observed}, and the table does not describe it")
        elif value is not None and observed != value:
            differing.append(f"{path} is {observed}, not {value}")
    for line in run(units).splitlines():
        _kind, owner, mode, path = line.split(" ", 3)
        if owner != "root:root" or int(mode, 8) & 0o022:
            differing.append(f"{path} is {owner} {mode}, so accounts other than root can change units")
    assert listing.count("\n") > 10, f"no files below {roots}: {listing}"
    return differing
