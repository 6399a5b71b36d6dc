# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of the doctor's findings. Like the codes of problems, they are public and keep their meaning."""

from __future__ import annotations

from ansible_collections.asgi.deploy.plugins.plugin_utils._values.codes import Code, parse

# Each section lists the codes of one check.
SECTIONS = parse("""
# deployed
app-not-deployed: The app is not live on the host. -> run site.yml

# units
unit-inactive: A unit of the live slot, or nginx, is not running. -> read its journal; site.yml starts it

# boot
unit-not-enabled: A unit of the live slot, or nginx, does not start at boot. -> run systemctl enable UNIT
boot-slot-wrong: After a reboot, nginx would not reach the live slot. -> run site.yml

# idle slot
idle-slot-running: The slot without traffic is running. -> run site.yml, or stop the unit
idle-slot-enabled: The slot without traffic starts at boot. -> run systemctl disable UNIT
trial-leftover: A killed tune.yml left its trial server. -> run site.yml, which removes it

# traffic
live-socket-missing: The socket link of the live slot is missing, so nginx reaches no slot. -> run site.yml
current-link-wrong: nginx serves the static files of another release. -> run site.yml

# health
app-unhealthy: The app does not answer the health probe. -> read the journal of its unit
site-unhealthy: The site does not answer from the live slot. -> see the finding

# workers
workers-missing: Fewer workers are running than configured. -> run reload.yml, and read the journal of the unit
workers-surplus: More workers are running than configured. -> run reload.yml, and read the journal of the unit

# queue
queue-filling: More than half of the socket's queue is in use. -> find out what the workers wait for, or run more workers: see the check
    plan
queue-overflowed: The socket's queue was full, and nginx answered 502. -> raise asgi_server_backlog, or run more workers
backlog-above-somaxconn: The kernel limits the queue to less than asgi_server_backlog. -> raise net.core.somaxconn, or lower
    asgi_server_backlog
tcp-connections-dropped: TCP connections to the host were dropped because a queue was full. -> find the server that is too slow, nginx or
    another one: see ss -ltn and net.core.somaxconn

# connections
connections-refused: nginx refused connections at its limit. -> raise asgi_clients and run site.yml
connections-limit-low: nginx's limit is too low for asgi_clients. -> run site.yml, and check its warnings
connections-near-limit: nginx is close to its limit of connections. -> raise asgi_clients and run site.yml
nginx-files-exhausted: nginx ran out of file descriptors. -> run site.yml; in a container, raise the container's limit of open files
app-files-exhausted: The app ran out of file descriptors. -> raise asgi_clients and run site.yml, or find the files that the app does not
    close
files-near-limit: A process is close to its limit of open files. -> raise asgi_clients and run site.yml

# nginx -t
nginx-missing: nginx is not installed. -> run site.yml
nginx-config-invalid: nginx rejects its configuration. -> fix the configuration, or nginx will not start again
nginx-config-warning: nginx warns about its configuration. -> fix the configuration

# certificate
site-certificate-missing: The site has no certificate. -> run site.yml
site-certificate-unreadable: The file is not a certificate. -> run site.yml
site-certificate-expired: The site's certificate has expired. -> renew it, and run site.yml
site-certificate-expiring: The certificate expires soon. -> renew it, and find out why it was not renewed
site-certificate-not-served: nginx does not serve the certificate in the file. -> see the finding
site-certificate-name-missing: The certificate does not cover all server names. -> request one for all names in asgi_proxy_server_names
site-certificate-exposed: Other accounts can read the key. -> run chmod 0600 FILE, and replace the key
site-certificate-listed: Other accounts can list the directory of the certificate. -> run site.yml

# unit files
unit-file-changed: A unit file differs from the activated one. -> run site.yml, which restores it
unit-reload-needed: systemd has not read a changed unit file. -> run systemctl daemon-reload
unit-file-misread: systemd ignores a line of a unit file. -> see asgi_server_unit_settings

# permissions
path-missing: A path of the app is missing. -> run site.yml
permissions-wrong: A path of the app has other permissions. -> restore its owner, group and mode
log-world-readable: Every account can read the requests of clients in a log. -> run site.yml

# writes
app-write-failed: The app tried to write to a path that is read-only for it. -> write to $ASGI_SHARED, set asgi_server_working_directory to
    shared if the path is relative, or list the path in asgi_app_source.shared if it is in the code

# sandbox
executable-memory-denied: A package needs executable memory, which the sandbox denies. -> add MemoryDenyWriteExecute: false to
    asgi_server_unit_settings

# plan
workers-differ-from-plan: The number of workers is not the planned one. -> run deploy.yml
workers-exceed-memory: The host lacks the memory for two slots with the configured workers. -> lower asgi_server_workers, or
    asgi_server_worker_memory if they need less

# memory
worker-memory-exceeded: A worker uses more memory than planned. -> raise asgi_server_worker_memory
host-memory-exceeded: The worker plans of all apps on the host need more memory than it has. -> run fewer workers, for instance with
    asgi_server_workers: auto

# deprecated
unit-setting-deprecated: systemd has replaced a setting. -> use its replacement
nginx-directive-deprecated: nginx warns about a deprecated directive. -> fix it before the next version of nginx

# timeouts
idle-timeouts-inverted: The app closes idle connections before nginx does, so requests can be lost. -> set asgi_server_keepalive above
    asgi_proxy_upstream_keepalive_timeout, and run site.yml
stop-timeout-short: systemd kills the service before the drain ends. -> remove TimeoutStopSec: asgi_server_graceful_timeout sets it
drain-timeout-short: A deploy ends requests that nginx would still wait for. -> raise asgi_server_graceful_timeout to the duration of the
    longest request
watchdog-inverted: systemd restarts the service before gunicorn replaces a worker that hangs. -> remove WatchdogSec: asgi_server_watchdog
    sets it, which must be above asgi_server_timeout
read-timeout-short: nginx gives up before a worker that hangs is replaced, so no other worker can repeat its requests. -> set
    asgi_server_timeout below asgi_proxy_read_timeout
restarts-simultaneous: All workers restart at the same time. -> set asgi_server_max_requests_jitter to a tenth of asgi_server_max_requests

# drift
drift-unknown: The host cannot be compared with the inventory. -> fix the error, which site.yml reports too
drift-found: The host differs from the inventory. -> run site.yml, or change the inventory

# release log
log-damaged: The release log is damaged. -> run deploy.yml, which starts a new log; rollback is unavailable until then
log-differs: The release log contains another live release. -> run site.yml, which records the live release
release-incomplete: Files of a slot's release are missing. -> run site.yml, which builds it again

# locks
lock-held: Another run is in progress, so the observations are inconsistent. -> wait
lock-stale: A killed run left its lock. -> run site.yml, which completes the interrupted work

# releases
release-unneeded: A release is incomplete or no longer needed. -> nothing to do: the next deploy removes it
config-leftover: An interrupted run left a configuration. -> remove its directory
python-replaced: The interpreter of the live release was replaced or removed. -> run site.yml, which builds it again: a restart would not
    find its packages

# disk
disk-space-low: There is little space for another release. -> free space, for instance with a lower asgi_app_keep_releases
inodes-low: There are few inodes for another release. -> remove files: the file system has no more inodes

# clock
clock-not-synchronised: The clock of the host is not synchronised. -> install systemd-timesyncd or chrony: certificates and logs need the
    time

# timers
logrotate-missing: logrotate is not installed, so nginx's logs fill the disk. -> run site.yml
timer-inactive: A timer is not running. -> run systemctl enable --now TIMER
timer-not-enabled: A timer does not start at boot. -> run systemctl enable TIMER

# processes
process-down: A process or a timer of the live slot is not running. -> read its journal; site.yml starts it
process-restarting: A process restarts in a loop. -> read its journal
process-not-enabled: The processes of the live slot do not start at boot. -> run site.yml
process-idle-slot: A process of the slot without traffic is running and is not stopping. -> run site.yml, which stops it
timer-failed: The last run of a timer failed. -> read its journal

# metrics
metrics-socket-inactive: The socket of the metrics is inactive or disabled. -> run systemctl enable --now SOCKET
""")
CODES: dict[str, Code] = {code: entry for codes in SECTIONS.values() for code, entry in codes.items()}
