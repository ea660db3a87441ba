#!/bin/sh
# The last thing that happens in every image's machine: what takes room goes, and the blocks that were freed take none
# in the image. What belongs to this one machine or to the build goes after the machine has gone: see [seal] in
# ingot.toml, and ansible/roles/seal for clouds where nobody can open the disk.
set -eu

apt-get -q clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old

sync
fstrim / || true
