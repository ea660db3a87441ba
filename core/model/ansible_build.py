"""A build by Ansible: Ingot boots the upstream itself and runs a playbook in it, without Packer."""

import msgspec

KIND = "ansible"
"""The type of such a build."""


class AnsibleBuild(msgspec.Struct, frozen=True):
    """`[roles.NAME]` with `builder = "ansible"`."""

    playbook: str
    """Relative to the workspace's root."""
    user: str = "root"
    """Who logs in over SSH."""
    memory: int = 1024
    """MiB."""
    cpus: int = 2
    disk_size: str = ""
    """As qemu-img takes it, such as `8G`; empty for the upstream's."""
    idempotent: bool = False
    """The playbook runs a second time, and must change nothing then."""
