#!/bin/sh
# Puts Debian 11's Python 3.9, which is what Amazon Linux 2023 has, beside the own Python of a tree of Debian 12 ($1).
set -eu
install -d "$1/opt/python3.9"
cp "$(dirname "$0")/python3.9.sha256" "$1/opt/python3.9/sha256"
chroot "$1" sh -eu <<'IN'
cd /opt/python3.9
mkdir -p lists/partial cache/archives/partial
sed -n 's/bookworm main/bullseye main/p' /etc/apt/sources.list | head -n 1 >sources.list
# Debian 11 changes no more, and its date with it.
set -- -o Dir::Etc::sourcelist=/opt/python3.9/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=lists \
    -o Dir::Cache=cache -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false
apt-get "$@" update
# libpython3.9-minimal_3.9.2-1_amd64.deb is asked for as libpython3.9-minimal=3.9.2-1.
apt-get "$@" download $(sed -n "s/^.*  \(.*\)_\(.*\)_$(dpkg --print-architecture)\.deb$/\1=\2/p" sha256)
grep "_$(dpkg --print-architecture)\.deb$" sha256 | sha256sum --strict --check
for deb in *.deb; do dpkg -x "$deb" /; done
rm -r /opt/python3.9
IN
