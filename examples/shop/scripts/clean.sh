#!/bin/sh
# The last thing that happens in every image: take out what belongs to this one machine or to the build.
set -eu

apt-get -q clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt/* /var/log/*.log /var/cache/debconf/*-old /var/lib/dpkg/*-old

# Made anew at each machine's first boot.
rm -f /etc/ssh/ssh_host_* /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/systemd/timers/*

# What the build left: journals, Ansible's files, shell history, keys of whoever built.
journalctl -q --rotate --vacuum-size=1 || true
rm -rf /var/log/journal/* /root/.ansible /root/.bash_history /root/.ssh /tmp/* /var/tmp/*

# Blocks that were freed take no room in the image.
sync
fstrim / || true
