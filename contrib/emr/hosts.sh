#!/usr/bin/env bash
# Puts node_exporter on a core or task node of an EMR cluster, as a bootstrap action for all nodes. A plain script: Ansible
# in an environment of its own takes a minute and 200 MB of each node, which starts to work meanwhile.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: hosts.sh [--strict] BUNDLE

BUNDLE is what playbooks/hosts_bundle.yml makes: s3://bucket/hosts.tar.gz or /path/hosts.tar.gz

  --strict   stay until it is done, and exit with the status of what failed; else the status is always 0
USAGE
}

readonly unit=emr-monitoring-hosts.service
readonly home=/mnt/emr-monitoring-hosts
readonly logs=/mnt/var/log/bootstrap-actions/emr-monitoring
# The run of site.yml names it where this node is DOWN.
readonly log=$logs/node_exporter.log
readonly instance=/mnt/var/lib/info/instance.json
readonly configuration=/etc/node_exporter
readonly self=${BASH_SOURCE[0]}

strict=no
doing="starting"
# Which the bundle names, for the release.
proxy='' no_proxy_for=''

# Where nobody can read it, all else goes on.
say() {
    printf '%(%FT%T%z)T %s\n' -1 "$*" || true
}

# Says what is done now. When it fails, these words say what failed.
start() {
    doing=$*
    say "$*"
}

die() {
    say "ERROR: $*" >&2
    exit 1
}

# A bootstrap action with another status than 0 makes EMR terminate the instance.
# shellcheck disable=SC2317  # called by a trap
leave() {
    local status=$1
    set +e
    if ((status)); then
        say "FAILED ($status) when $doing. The host is not watched." >&2
        [[ $strict == yes ]] || status=0
    fi
    exit "$status"
}

write_unit() {
    cat >"/etc/systemd/system/$unit" <<UNIT
# Written by hosts.sh
[Unit]
Description=Install node_exporter
Documentation=file:$log
Wants=network-online.target
After=network-online.target
# Three tries: a download may fail, a mistake stays one.
StartLimitIntervalSec=1d
StartLimitBurst=3

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/env bash $home/hosts.sh --run
Restart=on-failure
RestartSec=30
TimeoutStartSec=10min
TimeoutStopSec=10
Environment=HOME=/root LANG=C.UTF-8
StandardOutput=append:$log
StandardError=append:$log
UNIT
}

# What EMR or a user runs: hands the work over to the unit, so that the node's start waits for no download.
hand_over() {
    trap 'leave $?' EXIT
    # Who reads what it says may be gone.
    trap '' PIPE
    local argument bundle=''
    for argument in "$@"; do
        case $argument in
            --help) usage && return ;;
            --strict) strict=yes ;;
            -*) die "$argument is not an option. $(usage)" ;;
            *) bundle=$argument ;;
        esac
    done
    [[ -n $bundle ]] || die "The bundle is missing. $(usage)"
    [[ -r $instance ]] || die "$instance does not exist, thus this is no EMR node."
    if [[ $(tr -d '[:space:]' <"$instance") == *'"isMaster":true'* ]]; then
        say "This is a primary node, on which site.yml installs node_exporter: there is nothing to do."
        return
    fi
    if ((EUID)); then
        start "becoming root"
        sudo --non-interactive bash "$self" "$@"
        return
    fi
    start "handing the work over to $unit"
    # What lies there runs as root.
    [[ ! -e $home || -O $home ]] || die "$home belongs to another user."
    install --directory --mode=0700 "$home"
    install --directory --mode=0755 "$logs"
    [[ $self -ef $home/hosts.sh ]] || install --mode=0700 "$self" "$home/hosts.sh"
    printf '%s' "$bundle" >"$home/source"
    write_unit
    systemctl daemon-reload
    systemctl stop "$unit"
    systemctl reset-failed "$unit" 2>/dev/null || true
    if [[ $strict == no ]]; then
        systemctl start --no-block "$unit"
        say "The log: $log"
        return
    fi
    doing="installing node_exporter, of which $log tells"
    systemctl start "$unit"
}

fetch() {
    case $1 in
        s3://*) aws s3 cp --only-show-errors "$1" "$2" ;;
        http://* | https://*) (
            # Not as arguments, which everybody on the node can read.
            [[ -z $proxy ]] || export https_proxy=$proxy http_proxy=$proxy no_proxy=$no_proxy_for
            curl --fail --silent --show-error --location --retry 3 --output "$2" "$1"
        ) ;;
        /*) cp "$1" "$2" ;;
        *) die "$1 is neither s3://... nor http(s)://... nor an absolute path." ;;
    esac
}

# Returns one of the lines of the bundle's settings, nothing where there is none.
optional() {
    awk -v name="$1" '$1 == name { print $2 }' "$home/bundle/settings"
}

# The same of one that has to be there.
setting() {
    optional "$1" | grep . ||
        die "The bundle has no $1: make it anew with playbooks/hosts_bundle.yml."
}

install_release() {
    local root version url sha256 machine
    machine=$(uname -m)
    # A line each: of several only the last one's failure counts.
    root=$(setting root)
    version=$(setting version)
    url=$(setting "url-$machine")
    sha256=$(setting "sha256-$machine")
    if [[ ! -x $root/releases/$version/node_exporter ]]; then
        start "fetching node_exporter $version"
        install --directory --mode=0755 "$root" "$root/releases"
        rm -rf "$home/release"
        mkdir "$home/release"
        fetch "$url" "$home/release.tar.gz"
        sha256sum --check --status <<<"$sha256  $home/release.tar.gz" ||
            die "The archive from $url has not the sha256 of the bundle, $sha256."
        tar --extract --gzip --no-same-owner --strip-components=1 --file "$home/release.tar.gz" --directory "$home/release"
        chmod 0755 "$home/release"
        # Wholly there, or not at all.
        rm -rf "$root/releases/.new"
        cp --recursive "$home/release" "$root/releases/.new"
        mv --no-target-directory "$root/releases/.new" "$root/releases/$version"
        rm -rf "$home/release" "$home/release.tar.gz"
    fi
    ln --symbolic --force --no-dereference "releases/$version" "$root/current"
}

install_configuration() {
    local file
    start "installing its configuration"
    id node_exporter >/dev/null 2>&1 ||
        useradd --system --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin node_exporter
    install --directory --owner=root --group=node_exporter --mode=0750 "$configuration" "$configuration/tls"
    for file in web.yml tls/certificate.pem tls/key.pem; do
        install --owner=root --group=node_exporter --mode=0640 "$home/bundle/$file" "$configuration/$file"
    done
    install --mode=0644 "$home/bundle/node_exporter.service" /etc/systemd/system/node_exporter.service
}

# What the unit runs. Its output is the log.
run() {
    strict=yes
    # The key lies where the service reads it, and nowhere else.
    trap 'status=$?; rm -rf "$home/bundle" "$home/bundle.tar.gz"; leave $status' EXIT
    local port tries
    start "fetching the bundle"
    umask 077
    fetch "$(<"$home/source")" "$home/bundle.tar.gz"
    rm -rf "$home/bundle"
    mkdir "$home/bundle"
    tar --extract --gzip --no-same-owner --file "$home/bundle.tar.gz" --directory "$home/bundle"
    rm "$home/bundle.tar.gz"
    umask 022
    port=$(setting port)
    proxy=$(optional proxy)
    no_proxy_for=$(optional no_proxy)
    install_release
    install_configuration
    start "starting it"
    systemctl daemon-reload
    systemctl enable --quiet node_exporter.service
    systemctl restart node_exporter.service
    # It wants a login, which is not here: this is its answer.
    for ((tries = 30; tries; tries--)); do
        if [[ $(curl --silent --insecure --output /dev/null --write-out '%{http_code}' "https://127.0.0.1:$port/metrics") == 401 ]]; then
            say "This host is watched."
            return
        fi
        sleep 1
    done
    systemctl --no-pager status node_exporter.service || true
    die "node_exporter does not answer at port $port."
}

# In a function, so that bash has read the whole file before it runs any of it.
main() {
    if [[ ${1-} == --run ]]; then run; else hand_over "$@"; fi
}
main "$@"
