"""What is in the system of a disk made from a distribution's archive (archive.py), beyond what its packages bring.

Files that are written into it, its boot loader, and which services run. Nothing here is secret or of one machine.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

MINIMUM = (
    "systemd-sysv",
    "systemd-resolved",
    "dbus",
    "udev",
    "iproute2",
    "netbase",
    "openssh-server",
    "ca-certificates",
    "python3",
    "linux-image-cloud-amd64",
)
"""What boots, gets an address, answers on SSH and can be worked on by Ansible."""

_AFTER_HOST_KEYS = "[Unit]\nRequires=ssh-host-keys.service\nAfter=ssh-host-keys.service\n"

_FILES: Mapping[str, str] = {
    "/etc/hostname": "debian\n",
    "/etc/hosts": "127.0.0.1 localhost\n127.0.1.1 debian\n::1 localhost ip6-localhost ip6-loopback\n",
    "/etc/fstab": "LABEL=system / ext4 errors=remount-ro,noatime 0 1\n",
    "/etc/systemd/network/80-dhcp.network": (
        "# Any Ethernet interface, whatever its name.\n[Match]\nType=ether\n\n[Network]\nDHCP=yes\n"
    ),
    "/etc/ssh/sshd_config.d/05-keys.conf": (
        "# Keys given at boot are in /run (tmpfiles.d/provision.conf) and gone with it.\n"
        "AuthorizedKeysFile .ssh/authorized_keys /run/ssh-keys/%u\n"
        "HostKey /etc/ssh/ssh_host_ed25519_key\n"
        "HostKey /etc/ssh/ssh_host_ecdsa_key\n"
    ),
    # In place of systemd's file of the same name, which writes the key to /root/.ssh, where it would stay.
    "/etc/tmpfiles.d/provision.conf": (
        "f^ /etc/motd.d/50-provision.conf - - - - login.motd\n"
        "f^ /etc/issue.d/50-provision.conf - - - - login.issue\n"
        "d /run/ssh-keys 0755 root root -\n"
        "f^ /run/ssh-keys/root 0600 root root - ssh.authorized_keys.root\n"
    ),
    "/etc/systemd/system/ssh-host-keys.service": (
        "[Unit]\n"
        "Description=Make this machine's SSH host keys\n"
        "ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\n"
        "\n"
        "[Service]\n"
        "Type=oneshot\n"
        "RemainAfterExit=yes\n"
        'ExecStart=/usr/bin/ssh-keygen -q -t ecdsa -N "" -f /etc/ssh/ssh_host_ecdsa_key\n'
        'ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key\n'
    ),
    "/etc/systemd/system/ssh@.service.d/host-keys.conf": _AFTER_HOST_KEYS,
    "/etc/systemd/system/ssh.service.d/host-keys.conf": _AFTER_HOST_KEYS,
    # The kernel's packages keep the links /vmlinuz and /initrd.img at the newest kernel: nothing here changes with it.
    "/boot/grub/grub.cfg": (
        "# kernel-options.cfg, where there is one, says: set kernel_options=…\n"
        "if [ -e /boot/grub/kernel-options.cfg ]; then\n"
        "  source /boot/grub/kernel-options.cfg\n"
        "fi\n"
        "linux /vmlinuz root=LABEL=system ro quiet console=tty0 console=ttyS0,115200 $kernel_options\n"
        "initrd /initrd.img\n"
        "boot\n"
    ),
}

_GRUB_MODULES = "biosdisk part_msdos ext2 normal configfile test linux echo"

# SSH listens through systemd's socket: that is there before the network is, so that nobody who knocks early is turned
# away and comes back only after half a minute (QEMU's user network repeats a lost SYN after 6, 18, 42 s).
#
# Runs when the packages are in, outside of the new system, whose root is $1. `.record` is taken out of it again.
_HOOK = """\
#!/bin/sh
set -eu
mkdir "$1/.record"
cp "$1"/var/lib/apt/lists/*_InRelease "$1/.record/"
chroot "$1" dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\\n' > "$1/.record/packages"
cd "$1/.record"
APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq -o APT::Sandbox::User=root download grub-pc-bin grub-common
for package in *.deb; do dpkg-deb --extract "$package" grub; done
chroot "$1" /.record/grub/usr/bin/grub-mkimage --directory=/.record/grub/usr/lib/grub/i386-pc --format=i386-pc \
  --output=/.record/core.img --prefix='(hd0,msdos1)/boot/grub' GRUB_MODULES
cp grub/usr/lib/grub/i386-pc/boot.img .
rm -rf grub ./*.deb
sed -i /force-unsafe-io/d "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap
rm -f "$1"/etc/ssh/ssh_host_* "$1"/var/log/*.log "$1"/var/log/apt/* "$1"/var/cache/ldconfig/aux-cache
WRITE_FILES
chroot "$1" systemctl --quiet disable ssh.service systemd-networkd-wait-online.service e2scrub_all.timer \
  e2scrub_reap.service
chroot "$1" systemctl --quiet enable systemd-networkd.service systemd-resolved.service ssh.socket
"""


def settings() -> Mapping[str, str]:
    """The files that are written into the new system: path → content."""
    return _FILES


def hook() -> str:
    lines: list[str] = []
    for path, content in settings().items():
        lines.append(f'mkdir -p "$1"{shlex.quote(str(Path(path).parent))}')
        lines.append(f'printf %s {shlex.quote(content)} > "$1"{shlex.quote(path)}')
    return _HOOK.replace("GRUB_MODULES", _GRUB_MODULES).replace("WRITE_FILES", "\n".join(lines))
