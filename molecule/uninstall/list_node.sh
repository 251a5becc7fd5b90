#!/bin/sh
# Lists what is on the node: path, kind, mode, owner and target of everything that a role could leave behind.
set -eu
# Left out is what changes by itself: the kernel's file systems, /tmp and the journal, what python compiles, the
# demo services' queue, and what ssh and Ansible keep in the login's home. The account tools rewrite their backups
# and lock; the accounts themselves are listed at the end.
find / /mnt -xdev \
    \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /var/log -o -path /var/lib/demo \
    -o -path /home/hadoop -o -path '/root/node.*' -o -name __pycache__ \
    -o -path '/etc/*-' -o -path /etc/.pwd.lock \) -prune \
    -o -printf '%p %y %m %u %g %l\n' | sort -u
getent passwd
getent group
