#!/bin/sh
# engine.sh: make sure that a Docker engine answers. Prints its version.
#
# In this order: whatever the docker command already reaches (DOCKER_HOST, a context, Docker Desktop, rootless, a running
# daemon); systemd's docker.service; a dockerd of our own, where PID 1 is not systemd (CI machines). On Debian and Ubuntu
# a missing engine is installed, as root or through sudo.
set -eu

log=/var/log/dockerd.log
pid_file=/var/run/docker.pid
socket=/var/run/docker.sock
me=$(id -un)

say() { echo "$*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# macOS has no timeout; Docker Desktop, when it is not running, refuses at once
engine() {
    if command -v timeout >/dev/null; then timeout 5 docker version --format '{{.Server.Version}}'
    else docker version --format '{{.Server.Version}}'; fi 2>/dev/null
}

if command -v docker >/dev/null && version=$(engine); then
    echo "Docker engine $version"
    exit 0
fi

if [ -n "${DOCKER_HOST:-}" ]; then die "No Docker engine answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset DOCKER_HOST."; fi
if [ "$(uname -s)" != Linux ]; then die "No Docker engine answers: install and start Docker Desktop (or colima), then try again."; fi
if [ -S $socket ] && [ ! -w $socket ]; then
    die "$me may not use $socket: run 'sudo usermod -aG docker $me', log in again, then try again."
fi
if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    die "No Docker engine answers, and starting one takes root or sudo: ask for Docker to be installed and started."
fi

if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
    if ! command -v apt-get >/dev/null; then die "No Docker engine is installed: see https://docs.docker.com/engine/install/"; fi
    say "==> installing Docker (docker.io) with apt"
    as_root apt-get update -qq
    # the command line client is a package of its own from Debian 13 on, and only recommended
    packages="docker.io iptables"
    if apt-cache show docker-cli >/dev/null 2>&1; then packages="$packages docker-cli"; fi
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >&2
fi

if [ -d /run/systemd/system ]; then
    say "==> starting docker.service"
    log="journalctl -u docker"
    as_root systemctl start docker
else
    # A daemon that was killed leaves its pid file, and another process may have its number by now: a new daemon
    # would refuse to start. The executable is asked, as a zombie keeps its name.
    if [ -s $pid_file ]; then
        case $(as_root readlink "/proc/$(cat $pid_file)/exe" || true) in
            */dockerd*) ;;
            *) as_root rm -rf $pid_file /var/run/docker/containerd ;;
        esac
    fi
    if [ ! -s $pid_file ]; then
        say "==> starting dockerd, which logs to $log"
        # the caller's group may use the socket, so that nothing else here needs sudo
        # shellcheck disable=SC2016 # the inner shell expands them
        as_root sh -c 'setsid nohup dockerd --group "$1" >"$2" 2>&1 </dev/null &' dockerd "$(id -gn)" "$log"
    fi
fi

tries=0
until version=$(engine); do
    tries=$((tries + 1))
    if [ $tries -ge 60 ]; then
        if [ -S $socket ] && [ ! -w $socket ]; then
            die "Docker runs, but $me may not use it: run 'sudo usermod -aG docker $me', log in again, then try again."
        fi
        if [ -r "$log" ]; then tail -n 20 "$log" >&2; fi
        die "Docker was started but does not answer; see $log"
    fi
    sleep 0.5
done
echo "Docker engine $version"
