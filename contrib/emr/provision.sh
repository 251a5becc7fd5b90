#!/usr/bin/env bash
# Provisions the primary node of an EMR cluster from the node itself: as a bootstrap action, so that a new or replaced
# primary node gets its monitoring without any controller, or as a step.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: provision.sh [options] SOURCE

SOURCE is the project:
  s3://bucket/project.tar.gz, /path/project.tar.gz, /path/folder or git+https://host/repository.git#ref

  --extra-vars-file FILE        variables over those of group_vars: s3://... or /path
  --wheels FOLDER               Python packages, for nodes without internet: s3://..., /path, packed (.tar.gz) or not
  --wait-applications SECONDS   how long to wait for EMR to install the applications; then go on (1800)
  --wait                        stay in the foreground and show the log
  --strict                      exit with the status of what failed; else the status is always 0
USAGE
}

readonly unit=emr-monitoring-provision.service
readonly home=/mnt/emr-monitoring
# Among the logs of the bootstrap actions: there people look when a cluster does not come up as it should.
readonly logs=/mnt/var/log/bootstrap-actions/emr-monitoring
readonly log=$logs/provision.log
readonly instance=/mnt/var/lib/info/instance.json
readonly emr_state=/emr/instance-controller/lib/info/job-flow-state.txt
readonly self=${BASH_SOURCE[0]}

strict=no
doing="starting"

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
        say "FAILED ($status) when $doing. The monitoring of this node is not complete; see $log" >&2
        [[ $strict == yes ]] || status=0
    fi
    exit "$status"
}

is_primary() {
    [[ -r $instance ]] || die "$instance does not exist, thus this is no EMR node."
    [[ $(tr -d '[:space:]' <"$instance") == *'"isMaster":true'* ]]
}

property() {
    systemctl show --property="$1" --value "$unit"
}

write_unit() {
    cat >"/etc/systemd/system/$unit" <<UNIT
# Written by provision.sh; its arguments are in $home/arguments.
[Unit]
Description=Provision this node with Prometheus and Grafana
Documentation=file:$log
Wants=network-online.target
After=network-online.target
# Three tries: a download may fail, a mistake stays one.
StartLimitIntervalSec=1d
StartLimitBurst=3

[Service]
Type=oneshot
# Success can be seen: the unit stays active.
RemainAfterExit=yes
ExecStart=/usr/bin/env bash $home/provision.sh --run
Restart=on-failure
RestartSec=30
TimeoutStartSec=2h
Environment=HOME=/root LANG=C.UTF-8 PYTHONUNBUFFERED=1
StandardOutput=append:$log
StandardError=append:$log
UNIT
}

# What EMR or a user runs: hands the work over to the unit.
hand_over() {
    trap 'leave $?' EXIT
    # Who reads what it says may be gone.
    trap '' PIPE
    local argument wait=no arguments=()
    for argument in "$@"; do
        case $argument in
            --help) usage && return ;;
            --wait) wait=yes ;;
            --strict) strict=yes ;;
            *) arguments+=("$argument") ;;
        esac
    done
    if ! is_primary; then
        say "This is not a primary node: there is nothing to do."
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
    if [[ $(property ActiveState)/$(property SubState) == activating/start ]]; then
        [[ $wait == yes ]] || die "A run is under way already, and goes on."
        say "A run is under way already. This one starts after it."
        while [[ $(property ActiveState)/$(property SubState) == activating/start ]]; do sleep 2; done
    fi
    # EMR may remove what it downloaded, and the unit outlives this process.
    [[ $self -ef $home/provision.sh ]] || install --mode=0700 "$self" "$home/provision.sh"
    # Not in the unit, which every user can read: a source or a path may be nobody else's business.
    (umask 077 && printf '%s\0' "${arguments[@]}" >"$home/arguments")
    rm -f "$home/waited"
    write_unit
    systemctl daemon-reload
    systemctl stop "$unit"
    systemctl reset-failed "$unit" 2>/dev/null || true
    if [[ $wait == no ]]; then
        systemctl start --no-block "$unit"
        say "The node provisions itself now. Its log: $log"
        return
    fi
    follow
}

# Runs the unit to its end, with its log on the terminal.
follow() {
    local tail status
    doing="provisioning this node"
    touch "$log"
    tail --follow=name --lines=0 "$log" &
    tail=$!
    systemctl start "$unit" 2>/dev/null || true
    # Where it failed it is started again, up to its limit.
    while [[ $(property ActiveState) == activating ]]; do sleep 1; done
    sleep 1
    kill "$tail"
    [[ $(property ActiveState) == active ]] && return
    status=$(property ExecMainStatus)
    exit $((status ? status : 1))
}

# What the unit runs. Its output is the log.
run() {
    local source='' extra_vars='' wheels='' patience=1800 arguments options=()
    strict=yes
    trap 'finish $?' EXIT
    start "reading the arguments"
    mapfile -d '' -t arguments <"$home/arguments"
    set -- "${arguments[@]}"
    while (($#)); do
        case $1 in
            --extra-vars-file | --wheels | --wait-applications) (($# > 1)) || die "$1 needs a value." ;;&
            --extra-vars-file) extra_vars=$2 && shift ;;
            --wheels) wheels=$2 && shift ;;
            --wait-applications) patience=$2 && shift ;;
            -*) die "$1 is not an option. $(usage)" ;;
            *) [[ -z $source ]] || die "There are two sources, $(public "$source") and $(public "$1")."; source=$1 ;;
        esac
        shift
    done
    [[ -n $source ]] || die "The source of the project is missing. $(usage)"
    [[ $patience =~ ^[0-9]+$ ]] || die "--wait-applications is $patience: write a number of seconds."

    # What can be wrong with the arguments shows at once; the rest does not get in the way of EMR's own work, and may
    # need a python that comes with it.
    install_project "$source"
    if [[ -n $extra_vars ]]; then
        start "fetching the extra variables from $(public "$extra_vars")"
        (umask 077 && fetch_file "${extra_vars#file://}" "$home/extra-vars")
        options=(--extra-vars "@$home/extra-vars")
    fi
    wait_for_applications "$patience"
    install_ansible "$wheels"

    start "running Ansible"
    cd "$home/project"
    ANSIBLE_CONFIG=$home/project/ansible.cfg ANSIBLE_NOCOLOR=1 \
        "$home/venv/bin/ansible-playbook" site.yml --inventory inventory/local "${options[@]}"
}

# shellcheck disable=SC2317  # called by a trap
finish() {
    local status=$1
    if ((status)); then
        say "FAILED ($status) when $doing" | tee "$logs/FAILED"
    else
        rm -f "$logs/FAILED"
        say "This node is provisioned."
    fi
    exit "$status"
}

# An address without a login that it may hold.
public() {
    sed -E 's#//[^/@]*@#//***@#' <<<"$1"
}

fetch_file() {
    case $1 in
        s3://*) aws s3 cp --only-show-errors "$1" "$2" ;;
        /*) cp "$1" "$2" ;;
        *) die "$(public "$1") is neither s3://... nor an absolute path." ;;
    esac
}

# Fetches a folder, packed or not, into the empty folder $2.
fetch_tree() {
    local from=${1#file://} into=$2 url ref
    case $from in
        git+https://*)
            command -v git >/dev/null || die "This node has no git: install it before, or use a packed project."
            url=${from#git+} ref=HEAD
            [[ $url != *'#'* ]] || ref=${url#*#}
            git -C "$into" init --quiet
            # A fetch takes branches, tags and commits; a clone takes no commits.
            git -C "$into" fetch --quiet --depth=1 "${url%%#*}" "$ref"
            git -C "$into" checkout --quiet FETCH_HEAD
            ;;
        *.tar.gz | *.tgz)
            fetch_file "$from" "$into.packed"
            tar --extract --gzip --no-same-owner --file "$into.packed" --directory "$into"
            rm "$into.packed"
            ;;
        s3://*) aws s3 cp --only-show-errors --recursive "$from" "$into" ;;
        /*) cp --recursive "$from/." "$into" ;;
        *) die "$(public "$from") is none of s3://..., an absolute path, or git+https://..." ;;
    esac
}

# Fetches the project anew. What lay there before is replaced in one step, by something complete.
install_project() {
    local new found
    start "fetching the project from $(public "$1")"
    install --directory "$home/projects"
    new=$(mktemp --directory "$home/projects/XXXXXXXX")
    fetch_tree "$1" "$new"
    # Archives often have one folder at the top, with a name that says nothing.
    found=$new
    [[ -e $found/site.yml ]] || found=$(echo "$new"/*)
    [[ -e $found/site.yml ]] || die "There is no site.yml in it, thus it is not this project."
    ln --symbolic --force --no-dereference "$found" "$home/project.new"
    mv --no-target-directory "$home/project.new" "$home/project"
    # Only what mktemp named: whatever else lies there is somebody's.
    find "$home/projects" -regextype posix-extended -mindepth 1 -maxdepth 1 ! -path "$new" \
        -regex '.*/[A-Za-z0-9]{8}(\.packed)?' -exec rm -r {} +
}

# Prints a python that Ansible can run with, and that can make virtual environments.
find_python() {
    local python
    for python in python3.13 python3.12 python3.11 python3; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
}

install_ansible() {
    local python installed options=() requirements=$home/project/contrib/emr/requirements.txt
    doing="looking for a python for Ansible"
    python=$(find_python)
    [[ -n $python ]] || die "This node has no python 3.11 or newer with venv and pip: EMR has one from 7.1 on."
    installed="$("$python" --version), $(sha256sum <"$requirements")"
    if [[ -e $home/venv/installed && $(<"$home/venv/installed") == "$installed" ]]; then
        return
    fi
    rm -rf "$home/venv" "$home/wheels"
    if [[ -n $1 ]]; then
        start "fetching the Python packages from $(public "$1")"
        mkdir "$home/wheels"
        fetch_tree "$1" "$home/wheels"
        options=(--no-index --find-links "$home/wheels")
    fi
    start "installing Ansible for $python"
    "$python" -m venv "$home/venv"
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-cache-dir \
        --only-binary=:all: --require-hashes --requirement "$requirements" "${options[@]}"
    rm -rf "$home/wheels"
    # The last thing: without it, what a lost connection left behind is made anew.
    printf '%s' "$installed" >"$home/venv/installed"
}

# Tells whether EMR has installed the applications of this node.
applications_are_installed() {
    [[ -r $emr_state ]] && awk '
        $2 == "{" { block[++depth] = $1 }
        $1 == "}" { depth-- }
        $1 == "status:" && block[depth] == "nodeProvisionCheckinRecord" && block[1] == "localInstance" { status = $2 }
        END { exit status != "SUCCESSFUL" }
    ' "$emr_state"
}

# The applications first: on a node without them the check of the ports would miss, for example, that HBase is going
# to listen on 9090. Nothing else depends on them, thus the wait has an end.
wait_for_applications() {
    local patience=$1
    # Another try does not wait again.
    [[ ! -e $home/waited ]] || return 0
    if ! applications_are_installed; then
        start "waiting for EMR to install the applications, for $patience s at most"
        SECONDS=0
        until applications_are_installed; do
            if ((SECONDS >= patience)); then
                say "WARNING: $emr_state does not say so after $patience s. Going on: a port may be taken later."
                break
            fi
            sleep 2
        done
    fi
    touch "$home/waited"
}

# In a function, so that bash has read the whole file before it runs any of it.
main() {
    if [[ ${1-} == --run ]]; then run; else hand_over "$@"; fi
}
main "$@"
