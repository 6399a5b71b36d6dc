#!/bin/sh
# engine.sh: start a Docker engine if none answers, and print its version.
#
# It tries, in this order: an engine that the docker command reaches (DOCKER_HOST, a context, Docker Desktop, rootless, a running
# daemon); systemd's docker.service; a new dockerd, if PID 1 is not systemd (CI machines). On Debian and Ubuntu it installs a missing
# engine, as root or through sudo.
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

# macOS has no timeout command, and a stopped Docker Desktop fails at once.
engine() {
    if command -v timeout >/dev/null; then timeout 5 docker version --format '{{.Server.Version}}'
    else docker version --format '{{.Server.Version}}'; fi 2>/dev/null
}

if command -v docker >/dev/null && version=$(engine); then
    echo "Docker engine $version"
    exit 0
fi

if [ -n "${DOCKER_HOST:-}" ]; then die "No Docker engine answers at DOCKER_HOST=$DOCKER_HOST: start the engine, or unset DOCKER_HOST."; fi
if [ "$(uname -s)" != Linux ]; then die "No Docker engine answers: install and start Docker Desktop (or colima), then try again."; fi
if [ -S $socket ] && [ ! -w $socket ]; then
    die "$me has no access to $socket: run 'sudo usermod -aG docker $me', log in again, then try again."
fi
if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    die "No Docker engine answers, and starting one requires root or sudo."
fi

if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
    if ! command -v apt-get >/dev/null; then die "No Docker engine is installed: see https://docs.docker.com/engine/install/"; fi
    say "==> installing Docker (docker.io) with apt"
    as_root apt-get update -qq
    # Since Debian 13, the command line client is a separate package, which docker.io only recommends.
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
    # A killed daemon leaves its pid file, and a new daemon does not start if another process has the same pid. Check the executable of
    # that process, because a zombie still has the name of its program.
    if [ -s $pid_file ]; then
        case $(as_root readlink "/proc/$(cat $pid_file)/exe" || true) in
            */dockerd*) ;;
            *) as_root rm -rf $pid_file /var/run/docker/containerd ;;
        esac
    fi
    if [ ! -s $pid_file ]; then
        say "==> starting dockerd, which logs to $log"
        # The caller's group gets access to the socket, so that other commands do not need sudo.
        # shellcheck disable=SC2016 # the inner shell expands them
        as_root sh -c 'setsid nohup dockerd --group "$1" >"$2" 2>&1 </dev/null &' dockerd "$(id -gn)" "$log"
    fi
fi

tries=0
until version=$(engine); do
    tries=$((tries + 1))
    if [ $tries -ge 60 ]; then
        if [ -S $socket ] && [ ! -w $socket ]; then
            die "Docker runs, but $me has no access: run 'sudo usermod -aG docker $me', log in again, then try again."
        fi
        if [ -r "$log" ]; then tail -n 20 "$log" >&2; fi
        die "Docker was started but does not answer; see $log"
    fi
    sleep 0.5
done
echo "Docker engine $version"
