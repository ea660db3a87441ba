"""Everything that the making of an image may leave in it: one of each, with the item that it belongs to."""

LEFTOVERS: dict[str, tuple[str, str]] = {
    "/etc/ssh/ssh_host_ed25519_key": ("ssh-host-keys", "-----BEGIN OPENSSH PRIVATE KEY-----\n"),
    "/etc/ssh/ssh_host_rsa_key.pub": ("ssh-host-keys", "ssh-rsa AAAA root@builder\n"),
    "/etc/machine-id": ("machine-id", "0123456789abcdef0123456789abcdef\n"),
    "/var/lib/dbus/machine-id": ("machine-id", "0123456789abcdef0123456789abcdef\n"),
    "/etc/udev/rules.d/70-persistent-net.rules": ("hardware-addresses", 'SUBSYSTEM=="net", NAME="eth0"\n'),
    "/etc/systemd/network/10-lan.link": ("hardware-addresses", "[Match]\nMACAddress=52:54:00:12:34:56\n"),
    "/etc/netplan/50-cloud-init.yaml": (
        "hardware-addresses",
        "network:\n  ethernets:\n    lan:\n      match: {macaddress: '52:54:00:12:34:56'}\n",
    ),
    "/etc/NetworkManager/system-connections/lan.nmconnection": (
        "hardware-addresses",
        "[ethernet]\nmac-address=52:54:00:12:34:56\n",
    ),
    "/var/lib/dhcp/dhclient.eth0.leases": ("dhcp-leases", "lease {}\n"),
    "/var/lib/NetworkManager/internal-1-eth0.lease": ("dhcp-leases", "ADDRESS=10.0.2.15\n"),
    "/tmp/packer-shell123": ("packer", "#!/bin/sh\n"),
    "/etc/sudoers.d/99-packer": ("packer", "deploy ALL=(ALL) ALL\n"),
    "/root/.ansible/tmp/x": ("ansible", "x"),
    "/etc/ssh/sshd_config.812.2026-11-14@09:30:00~": ("ansible", "Port 22\n"),
    "/var/lib/cloud/instances/i-1/user-data.txt": ("cloud-init", "#cloud-config\n"),
    "/var/lib/cloud/data/instance-id": ("cloud-init", "i-1\n"),
    "/var/log/cloud-init.log": ("cloud-init", "started\n"),
    "/var/lib/waagent/ovf-env.xml": ("cloud-agents", "<Environment/>\n"),
    "/var/lib/amazon/ssm/registration": ("cloud-agents", "{}\n"),
    "/var/log/syslog": ("logs", "Nov 21 builder\n"),
    "/var/log/journal/0123/system.journal": ("logs", "LPKSHHRH\n"),
    "/root/.bash_history": ("history", "passwd root\n"),
    "/home/ada/.psql_history": ("history", "select 1;\n"),
    "/srv/app/.bash_history": ("history", "ls\n"),
    "/root/.ssh/authorized_keys": ("user-ssh-keys", "ssh-ed25519 AAAAC3 ada@example.org\n"),
    "/home/ada/.ssh/id_ed25519": ("user-ssh-keys", "-----BEGIN OPENSSH PRIVATE KEY-----\n"),
    "/home/ada/.ssh/known_hosts": ("user-ssh-keys", "example.org ssh-ed25519 AAAA\n"),
    "/etc/ssh/authorized_keys/root": ("build-keys", "ssh-ed25519 AAAAC3build ingot-run-qemu.web\n"),
    "/etc/shadow-": ("account-backups", "root:$y$j9T$old:1::::::\n"),
    "/etc/pki/consumer/cert.pem": ("registrations", "-----BEGIN CERTIFICATE-----\n"),
    "/var/cache/apt/archives/nginx_1.22.deb": ("caches", "!<arch>\n"),
    "/var/lib/apt/lists/deb.debian.org_Packages": ("caches", "Package: a\n"),
    "/var/cache/dnf/x/repodata": ("caches", "x"),
    "/root/.cache/pip/http/0": ("caches", "x"),
    "/tmp/.hidden": ("temporary-files", "x"),
    "/var/tmp/build": ("temporary-files", "x"),
    "/swapfile": ("swap", "SWAPSPACE2"),
    "/var/lib/systemd/random-seed": ("random-seed", "0123"),
    "/var/lib/systemd/credential.secret": ("random-seed", "0123"),
    "/var/crash/python3.0.crash": ("core-dumps", "ProblemType: Crash\n"),
    "/var/mail/root": ("mail", "From cron\n"),
    "/opt/notes/password": ("named-paths", "geheim"),
}
"""Path → the item, and what is in the file."""

NOT_SEALED_AWAY = frozenset(
    {
        "/etc/systemd/network/10-lan.link",
        "/etc/netplan/50-cloud-init.yaml",
        "/etc/NetworkManager/system-connections/lan.nmconnection",
        "/srv/app/.bash_history",
        "/etc/ssh/authorized_keys/root",
        "/swapfile",
    }
)
"""What sealing by itself leaves: only the role knows whether the machine is to have it, or where it came from."""

PASSWD = "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/bash\n"
BUILD_USER = {
    "/etc/passwd": PASSWD + "builder:x:1001:1001::/home/builder:/bin/bash\n",
    "/etc/shadow": "root:*:1::::::\nada:!:1::::::\nbuilder:$y$j9T$hash:1::::::\n",
    "/etc/group": "root:x:0:\nsudo:x:27:ada,builder\nadm:x:4:builder,ada\n"
    "wheel:x:28:builder\nada:x:1000:\nbuilder:x:1001:\n",
    "/home/builder/notes": "x",
    "/etc/sudoers.d/90-builder": "builder ALL=(ALL) NOPASSWD: ALL\n",
}
"""A user that only the build needs, and everywhere that it is."""
