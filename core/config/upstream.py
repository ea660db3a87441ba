"""`upstream` of a role in ingot.toml: what it is built on, and why that is trusted. Reference: docs/workspace.md."""

import re
from collections.abc import Mapping

import msgspec

from core.config.paths import INSIDE, is_inside, normal
from core.config.table import Table
from core.model.image import ImageState
from core.model.role import Upstream, UpstreamKind

TEXTS = ("role", "url", "checksum", "signature", "key", "fingerprint", "distribution", "suite", "disk_size")
LISTS = ("takes", "packages")
KEYS = (*TEXTS, *LISTS, "ami")
AMI_TEXTS = ("name", "region", "architecture")
AMI_KEYS = (*AMI_TEXTS, "owners")

_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "role": ("takes",),
    "url": ("checksum", "signature", "key", "fingerprint"),
    "distribution": ("suite", "packages", "disk_size"),
    "ami": (),
}
_BUILT_ON = tuple(state for state in ImageState if state not in (ImageState.DEPRECATED, ImageState.REVOKED))
_OWNER = re.compile(r"\d{12}|self|amazon|aws-marketplace|aws-backup-vault")


class _Given(msgspec.Struct, frozen=True):
    """What the table has, each value of the right shape; what had another one has been said already."""

    table: Table
    ami: Table
    texts: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    lists: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict[str, tuple[str, ...]])
    ami_texts: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    owners: tuple[str, ...] = ()
    spoiled: bool = False
    """Something of it was wrong already."""


def read(role: Table) -> Upstream | None:
    """The upstream; None where it is not said, or cannot be told, or must not be built on."""
    if "upstream" not in role:
        return None
    problems = len(role.reading.problems)
    table = role.table("upstream", KEYS)
    ami = table.table("ami", AMI_KEYS)
    return _upstream(
        _Given(
            table,
            ami,
            {key: table.text(key) or "" for key in TEXTS},
            {key: table.texts(key) or () for key in LISTS},
            {key: ami.text(key) or "" for key in AMI_TEXTS},
            ami.texts("owners") or (),
            spoiled=len(role.reading.problems) > problems,
        )
    )


def _upstream(given: _Given) -> Upstream | None:
    table = given.table
    kinds = [key for key in _ALLOWED if key in table and (key == "ami" or given.texts.get(key))]
    if len(kinds) != 1:
        if not given.spoiled:
            table.wrong(
                "",
                "an upstream is one of: a role, a url, a distribution, an ami",
                'Write: upstream = { role = "base" }, or { url = "…", checksum = "sha256:…" }, '
                'or { distribution = "debian", suite = "bookworm" }, or { ami = { owners = ["…"], name = "…" } }',
            )
        return None
    kind = kinds[0]
    for key in table.keys:
        if key != kind and key not in _ALLOWED[kind]:
            shown = key.replace("_", "-")
            table.wrong(key, f"{shown!r} means nothing beside {kind!r}", "Take it away.")
    text = {key: given.texts.get(key, "") for key in TEXTS}
    match kind:
        case "role":
            return Upstream(UpstreamKind.ROLE, role=text["role"], takes=_takes(given))
        case "url":
            return _file(table, text)
        case "ami":
            return None if given.spoiled else _ami(given)
        case _:
            if not text["suite"]:
                table.wrong("", "a distribution needs its suite", 'Add: suite = "bookworm"')
                return None
            return Upstream(
                UpstreamKind.ARCHIVE,
                distribution=text["distribution"],
                suite=text["suite"],
                packages=given.lists.get("packages", ()),
                disk_size=text["disk_size"],
            )


def _takes(given: _Given) -> tuple[ImageState, ...]:
    states: list[ImageState] = []
    for state in given.lists.get("takes", ()):
        if state in _BUILT_ON:
            states.append(ImageState(state))
        else:
            why = "is never built on" if state in tuple(ImageState) else "is no state of an image"
            given.table.wrong("takes", f"{state!r} {why}", f"Use: {', '.join(_BUILT_ON)}.")
    return tuple(states)


def _file(table: Table, text: Mapping[str, str]) -> Upstream | None:
    url, checksum, signature, key = (text[name] for name in ("url", "checksum", "signature", "key"))
    if not _is_place(url):
        table.wrong("url", f"{url!r} is neither an http(s) URL nor a path inside the workspace", INSIDE)
        return None
    if signature and not key:
        table.wrong("signature", "a signature is worth as much as the key that is known to be the vendor's", _ADD_KEY)
        return None
    signed_itself = bool(signature) and not checksum
    if not signed_itself and not re.fullmatch(r"sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128}|file:\S+", checksum):
        table.wrong(
            "checksum" if checksum else "",
            "an upstream from a url needs a checksum that counts",
            'Add: checksum = "sha256:…" (64 hexadecimal digits), or "file:https://…/SHA256SUMS"',
        )
        return None
    if signature and not _is_place(signature):
        table.wrong("signature", f"{signature!r} is neither an http(s) URL nor a path inside the workspace", INSIDE)
        return None
    if key and not is_inside(key):
        table.wrong("key", f"{key!r} is no path inside the workspace", f"{INSIDE} It belongs into Git.")
        return None
    if key and not signature and not checksum.startswith("file:"):
        table.wrong(
            "key", "there is nothing that is signed", 'Add the signature: signature = "https://…/disk.qcow2.sig"'
        )
        return None
    fingerprint = re.sub(r"\s", "", text["fingerprint"]).upper().removeprefix("0X")
    if text["fingerprint"] and not (key and re.fullmatch(r"[0-9A-F]{40}|[0-9A-F]{64}", fingerprint)):
        table.wrong(
            "fingerprint", "it is no full fingerprint of a key", "Write all 40 hexadecimal digits, beside key = “…”."
        )
        return None
    return Upstream(
        UpstreamKind.FILE,
        url=url,
        checksum=checksum,
        signature=signature,
        key=normal(key) if key else "",
        fingerprint=fingerprint,
    )


def _ami(given: _Given) -> Upstream | None:
    if not given.owners:
        given.table.wrong(
            "ami",
            "an ami needs its owners: anybody can publish an image under any name",
            'Add: owners = ["099720109477"] (the account\'s number), or "amazon", "self"',
        )
        return None
    if unknown := [owner for owner in given.owners if not _OWNER.fullmatch(owner)]:
        given.ami.wrong(
            "owners",
            f"{unknown[0]!r} is no owner of images",
            'Write the 12 digits of the account, or "self", "amazon", "aws-marketplace".',
        )
        return None
    if not given.ami_texts.get("name"):
        given.table.wrong("ami", "an ami needs a name, with * and ?", 'Add: name = "debian-12-amd64-*"')
        return None
    text = given.ami_texts
    return Upstream(
        UpstreamKind.AMI,
        owners=given.owners,
        name=text["name"],
        region=text.get("region", ""),
        architecture=text.get("architecture", ""),
    )


def _is_place(place: str) -> bool:
    """An http(s) URL, or a path inside the workspace."""
    return bool(re.match(r"https?://\S+$", place)) or ("://" not in place and is_inside(place))


_ADD_KEY = 'Put their public key into the repository, and add: key = "keys/vendor.asc"'
