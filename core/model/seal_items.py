"""The table of what the making of an image leaves in it: where that is, and how sealing takes it away.

It is read twice. Sealing does what it says (core/model/sealing.py, `plan`); the check afterwards looks at the sealed
disk by the same places but by its own means (core/model/seal_check.py), so that an operation which does less than it
promises is found out.
"""

import msgspec


class Item(msgspec.Struct, frozen=True):
    """One kind of leftover. Paths are globs: `*` and `?` stand for no `/`, `**` for anything."""

    id: str
    """As `keep` in ingot.toml names it."""
    title: str
    paths: tuple[str, ...] = ()
    """Whatever exists there is a leftover."""
    filled: tuple[str, ...] = ()
    """Files there are leftovers unless they are empty."""
    fine: tuple[str, ...] = ()
    """Exceptions from both."""
    belongs_to: tuple[str, ...] = ()
    """Without any of these paths the item is not applicable. Empty: it always is."""
    operations: tuple[str, ...] = ()
    """virt-sysprep's own, by name."""
    deletes: tuple[str, ...] = ()
    """Globs as glob(7) has them: `*` stands for no name that begins with a dot."""
    truncates: tuple[str, ...] = ()
    advice: str = ""
    """Where it is found although the image was sealed."""


_HOMES = ("/root", "/home/*")
_HISTORIES = (
    ".bash_history",
    ".zsh_history",
    ".ash_history",
    ".sh_history",
    ".history",
    ".python_history",
    ".node_repl_history",
    ".mysql_history",
    ".mariadb_history",
    ".psql_history",
    ".sqlite_history",
    ".rediscli_history",
    ".lesshst",
    ".viminfo",
    ".wget-hsts",
)
_ACCOUNTS = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
_SEEDS = (
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/urandom/random-seed",
    "/var/lib/random-seed",
    "/var/lib/seedrng/seed.*",
    "/var/lib/NetworkManager/secret_key",
    "/boot/loader/random-seed",
    "/boot/efi/loader/random-seed",
    "/efi/loader/random-seed",
)
# Ansible's `backup: true` names them so: sshd_config.812.2026-11-14@09:30:00~
_BACKUPS = ("/etc/**.20??-??-??@??:??:??~", "/root/**.20??-??-??@??:??:??~", "/opt/**.20??-??-??@??:??:??~")

ITEMS: tuple[Item, ...] = (
    Item(
        "ssh-host-keys",
        "SSH host keys",
        paths=("/etc/ssh/ssh_host_*", "/etc/dropbear/dropbear_*_host_key"),
        belongs_to=("/etc/ssh", "/etc/dropbear"),
        operations=("ssh-hostkeys",),
        deletes=("/etc/ssh/ssh_host_*", "/etc/dropbear/dropbear_*_host_key"),
    ),
    Item(
        "machine-id",
        "machine id",  # its content decides
        belongs_to=("/etc/machine-id", "/var/lib/dbus/machine-id"),
        operations=("machine-id",),
        deletes=("/var/lib/dbus/machine-id",),
    ),
    Item(
        "hardware-addresses",
        "hardware addresses and persistent names of network interfaces",  # content decides
        operations=("udev-persistent-net", "net-hwaddr"),
        advice="The address is of the machine that built it. Let the playbook name interfaces by driver or name, or "
        "remove the file: [seal] remove",
    ),
    Item(
        "dhcp-leases",
        "DHCP leases",
        filled=(
            "/var/lib/dhcp/**",
            "/var/lib/dhclient/**",
            "/var/lib/dhcpcd/**",
            "/var/db/dhcpcd/**",
            "/var/lib/wicked/**",
            "/var/lib/NetworkManager/*.lease",
            "/var/lib/NetworkManager/timestamps",
            "/var/lib/NetworkManager/seen-bssids",
        ),
        belongs_to=("/var/lib",),
        operations=("dhcp-client-state",),
        deletes=(
            "/var/lib/dhcp/*",
            "/var/lib/dhclient/*",
            "/var/lib/dhcpcd/*",
            "/var/db/dhcpcd/*",
            "/var/lib/wicked/*",
            "/var/lib/NetworkManager/*.lease",
            "/var/lib/NetworkManager/timestamps",
            "/var/lib/NetworkManager/seen-bssids",
        ),
    ),
    Item(
        "packer",
        "Packer's leftovers",
        paths=(
            "/tmp/packer*",  # noqa: S108 - in the image
            "/var/tmp/packer*",  # noqa: S108
            "/tmp/script_*.sh",  # noqa: S108 - what its shell provisioner uploads
            "/etc/sudoers.d/*packer*",
        ),
        deletes=("/etc/sudoers.d/*packer*",),
    ),
    Item(
        "ansible",
        "Ansible's leftovers",
        paths=(
            *(f"{home}/{name}" for home in _HOMES for name in (".ansible", ".ansible_async")),
            "/tmp/ansible*",  # noqa: S108
            "/tmp/.ansible*",  # noqa: S108
            "/var/tmp/ansible*",  # noqa: S108
            *_BACKUPS,
        ),
        deletes=(
            *(f"{home}/{name}" for home in _HOMES for name in (".ansible", ".ansible_async")),
            *(f"/etc/{deep}*.20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]@*~" for deep in ("", "*/", "*/*/", "*/*/*/")),
        ),
        advice="Files that Ansible kept with `backup` are leftovers too: [seal] remove",
    ),
    Item(
        "cloud-init",
        "state of cloud-init",
        paths=("/var/lib/cloud/instance", "/var/lib/cloud/instances/*"),
        filled=("/var/lib/cloud/data/**", "/var/lib/cloud/sem/**", "/var/log/cloud-init**"),
        belongs_to=("/var/lib/cloud", "/usr/bin/cloud-init", "/etc/cloud"),
        deletes=(
            "/var/lib/cloud/instance",
            "/var/lib/cloud/instances/*",
            "/var/lib/cloud/data/*",
            "/var/lib/cloud/sem/*",
            "/var/log/cloud-init*",
        ),
    ),
    Item(
        "cloud-agents",
        "state of the clouds' agents",
        filled=(
            "/var/lib/waagent/**",
            "/var/lib/amazon/ssm/**",
            "/var/snap/amazon-ssm-agent/**",
            "/var/lib/hyperv/**",
            "/etc/google_instance_id",
        ),
        belongs_to=(
            "/var/lib/waagent",
            "/var/lib/amazon",
            "/var/snap/amazon-ssm-agent",
            "/var/lib/hyperv",
            "/usr/bin/google_guest_agent",
            "/usr/sbin/waagent",
        ),
        deletes=(
            "/var/lib/waagent/*",
            "/var/lib/waagent/.[!.]*",
            "/var/lib/amazon/ssm/*",
            "/var/snap/amazon-ssm-agent/*/var",
            "/var/lib/hyperv/*",
            "/var/lib/hyperv/.[!.]*",
            "/etc/google_instance_id",
        ),
    ),
    Item(
        "logs",
        "logs and the journal",
        filled=(
            "/var/log/**",
            "/root/anaconda-ks.cfg",
            "/root/original-ks.cfg",
            "/root/initial-setup-ks.cfg",
            "/root/install.log*",
        ),
        belongs_to=("/var/log",),
        operations=("logfiles", "pacct-log"),
        truncates=("/var/log",),
    ),
    Item(
        "history",
        "history of shells and other programs",
        filled=tuple(f"/**/{name}" for name in _HISTORIES),
        fine=("/usr/**",),
        operations=("bash-history",),
        deletes=tuple(f"{home}/{name}" for home in _HOMES for name in _HISTORIES),
    ),
    Item(
        "user-ssh-keys",
        "users' SSH keys",
        filled=tuple(
            f"/**/.ssh/{name}" for name in ("authorized_keys*", "id_*", "identity*", "known_hosts*", "environment")
        ),
        fine=("/usr/**",),
        operations=("ssh-userdir",),
        advice="A key that every machine of the image shall have: [seal] keep = ['user-ssh-keys']",
    ),
    Item(
        "build-keys",
        "keys that only the build had",  # content decides
        advice="Whoever has the key of the build gets into every machine of this image: take it out of the template.",
    ),
    Item(
        "build-users",
        "users that only the build needs",  # content decides
        belongs_to=("/etc/passwd",),
        advice="Name them, and they go: [seal] users",
    ),
    Item(
        "account-backups",
        "copies of accounts and passwords as they were before",
        paths=tuple(f"/etc/{name}-" for name in _ACCOUNTS),
        operations=("passwd-backups",),
        deletes=tuple(f"/etc/{name}-" for name in _ACCOUNTS),
    ),
    Item(
        "registrations",
        "registrations with a vendor",
        paths=("/etc/sysconfig/rhn/systemid", "/var/lib/yum/uuid"),
        filled=("/etc/pki/consumer/**", "/etc/pki/entitlement/**"),
        belongs_to=("/etc/pki/consumer", "/etc/pki/entitlement", "/etc/sysconfig/rhn", "/var/lib/yum"),
        operations=("rhn-systemid", "rh-subscription-manager", "yum-uuid"),
        deletes=(
            "/etc/sysconfig/rhn/systemid",
            "/var/lib/yum/uuid",
            "/etc/pki/consumer/*",
            "/etc/pki/entitlement/*",
        ),
    ),
    Item(
        "caches",
        "caches of package managers and users",
        filled=(
            "/var/cache/apt/*.bin",
            "/var/cache/apt/archives/**",
            "/var/lib/apt/lists/**",
            "/var/cache/dnf/**",
            "/var/cache/libdnf5/**",
            "/var/cache/yum/**",
            "/var/cache/zypp/**",
            "/var/cache/apk/**",
            "/var/cache/pacman/pkg/**",
            *(f"{home}/.cache/**" for home in _HOMES),
        ),
        operations=("package-manager-cache", "rpm-db"),
        deletes=(
            "/var/cache/apt/*.bin",
            "/var/cache/apt/archives/*.deb",
            "/var/cache/apt/archives/partial/*",
            "/var/lib/apt/lists/*",
            "/var/cache/dnf/*",
            "/var/cache/libdnf5/*",
            "/var/cache/yum/*",
            "/var/cache/zypp/*",
            "/var/cache/apk/*",
            "/var/cache/pacman/pkg/*",
            *(f"{home}/.cache" for home in _HOMES),
        ),
    ),
    Item(
        "temporary-files",
        "temporary files",
        paths=("/tmp/*", "/var/tmp/*"),  # noqa: S108 - in the image
        operations=("tmp-files",),
        deletes=tuple(f"{place}/{name}" for place in ("/tmp", "/var/tmp") for name in ("*", ".[!.]*", "..?*")),  # noqa: S108
    ),
    Item(
        "swap",
        "swap files",
        filled=("/swapfile", "/swap.img", "/swap", "/swap/*", "/var/swap*"),
        advice="It holds memory of the machine that built it; /etc/fstab names it. Let the playbook take both away.",
    ),
    Item(
        "random-seed",
        "random seed and secrets of one machine",
        filled=_SEEDS,
        deletes=_SEEDS,
    ),
    Item(
        "core-dumps",
        "core dumps and crash reports",
        filled=(
            "/var/crash/**",
            "/var/lib/systemd/coredump/**",
            "/var/lib/apport/coredump/**",
            "/var/spool/abrt/**",
            "/core",
            "/core.*",
            "/root/core",
            "/root/core.*",
        ),
        operations=("crash-data", "abrt-data"),
        deletes=(
            "/var/crash/*",
            "/var/lib/systemd/coredump/*",
            "/var/lib/apport/coredump/*",
            "/var/spool/abrt/*",
        ),
    ),
    Item(
        "mail",
        "mail in the local spool",
        filled=("/var/spool/mail/*", "/var/mail/*"),
        operations=("mail-spool",),
    ),
    Item("named-paths", "what ingot.toml names"),
)

IDS: tuple[str, ...] = tuple(item.id for item in ITEMS)
