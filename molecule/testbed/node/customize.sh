#!/bin/sh
# Makes a Debian tree ($1) look like an EMR primary node with the demo services installed.
set -eu
chroot "$1" sh -eu <<'IN'
useradd --create-home --shell /bin/bash hadoop
# As newer systems make it: nothing that runs as another user may begin there.
chmod 0700 /home/hadoop
useradd --system --no-create-home --shell /usr/sbin/nologin demo
echo 'hadoop ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/hadoop
chmod 0440 /etc/sudoers.d/hadoop
install -d -o hadoop -g hadoop -m 0700 /home/hadoop/.ssh
printf 'UseDNS no\nPasswordAuthentication no\n' >/etc/ssh/sshd_config.d/testbed.conf

install -d /mnt/var/lib/info
echo '{"isMaster": true, "instanceGroupId": "ig-TESTBED"}' >/mnt/var/lib/info/instance.json
echo '{"jobFlowId": "j-TESTBED", "masterPrivateDnsName": "ip-172-31-0-10.ec2.internal"}' >/mnt/var/lib/info/job-flow.json
echo '{"region": "eu-west-1"}' >/mnt/var/lib/info/extraInstanceData.json

python3 -m venv /opt/demo/venv
/opt/demo/venv/bin/pip install --quiet --no-index --find-links /opt/demo/wheels --require-hashes -r /opt/demo/requirements.txt
rm -r /opt/demo/wheels
install -d /var/lib/demo/faults
mv /opt/demo/*.service /etc/systemd/system/
systemctl enable --quiet ssh ingest-service docproc-service embedding-service demo-traffic
# Host keys belong to a node, not to the image: sshd makes them at its first start.
rm -f /etc/ssh/ssh_host_*
printf '[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\n' | install -D -m 0644 /dev/stdin /etc/systemd/system/ssh.service.d/keys.conf
IN
