"""`[test]` of ingot.toml, for all roles or one. Its reference is docs/workspace.md."""

import ipaddress
import re
from difflib import get_close_matches

from msgspec.structs import replace

from core.config.table import Table
from core.model.boot_checks import ALL
from core.model.boot_test import AmazonTest, BootTest
from core.model.pause import seconds_of

KEYS = ("enabled", "suites", "skip", "user", "memory", "cpus", "limit", "keep", "amazon")
AMAZON = ("instance_type", "subnet", "security_groups", "address", "user", "allow")
_ADDRESSES = ("public", "private")


def read(parent: Table, before: BootTest) -> BootTest:
    """The table on top of what held `before` it."""
    if "test" not in parent:
        return before
    table = parent.table("test", KEYS)
    suites, skip, user, limit = table.paths("suites"), table.texts("skip"), table.text("user"), table.text("limit")
    found = replace(
        before,
        enabled=table.flag("enabled", before.enabled),
        keep=table.flag("keep", before.keep),
        memory=table.number("memory", before.memory, 64, 1 << 20, "a whole number (MiB), 64 to 1048576"),
        cpus=table.number("cpus", before.cpus, 1, 64, "a whole number, 1 to 64"),
    )
    if limit is not None:
        if seconds := _seconds(limit):
            found = replace(found, limit=seconds)
        else:
            table.wrong(
                "limit",
                f"{limit!r} is no time to wait for a machine",
                "Write it as seconds or minutes, such as 90s or 5m.",
            )
    if user:
        found = replace(found, user=user)
    if suites is not None:
        found = replace(found, suites=suites)
    if skip is not None:
        skip = table.those("skip", skip, ALL.__contains__, "is nothing that a boot test looks at", _nearest)
        found = replace(found, skip=skip)
    return replace(found, amazon=_amazon(table.table("amazon", AMAZON), before.amazon))


def _amazon(table: Table, before: AmazonTest) -> AmazonTest:
    groups, allow = table.texts("security_groups"), table.texts("allow")
    found = replace(
        before,
        instance_type=_like(
            table, "instance_type", before.instance_type, r"[a-z0-9-]+\.[a-z0-9-]+", "no type of machine", "t3.small"
        ),
        subnet=_like(table, "subnet", before.subnet, r"subnet-[0-9a-f]+", "no id of a subnet", "subnet-0a1b2c3d"),
        user=table.text("user") or before.user,
    )
    address = table.text("address")
    if address is not None and address not in _ADDRESSES:
        table.wrong("address", f"{address!r} is no kind of address", 'Write: address = "public" or "private"')
    elif address:
        found = replace(found, address=address)
    if groups is not None:
        are = re.compile(r"sg-[0-9a-f]+").fullmatch
        told = table.those("security_groups", groups, lambda one: bool(are(one)), "is no id of a security group",
                           'Write: security-groups = ["sg-0a1b2c3d"]')  # fmt: skip
        found = replace(found, security_groups=told)
    if allow is not None:
        told = table.those("allow", allow, _is_block, "is no block of addresses", 'Write: allow = ["203.0.113.0/24"]')
        if told:  # a group that lets in nobody would only look like a machine that does not answer
            found = replace(found, allow=told)
    return found


def _like(table: Table, key: str, before: str, pattern: str, reason: str, such_as: str) -> str:
    """A text of that form."""
    said = table.text(key)
    if said and not re.fullmatch(pattern, said):
        table.wrong(key, f"{said!r} is {reason}", f'Write: {key.replace("_", "-")} = "{such_as}"')
        return before
    return said or before


def _is_block(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _nearest(name: str) -> str:
    near = get_close_matches(name, ALL, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"One of: {', '.join(ALL)}."


def _seconds(limit: str) -> float | None:
    """Seconds, as a machine that boots with hardware virtualisation needs them, or what `seconds_of` takes."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})s", limit)
    return float(found[1]) if found else seconds_of(limit)
