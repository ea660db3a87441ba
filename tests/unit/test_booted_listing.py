"""What was left in an image, told from a machine of it that has booted."""

from disk_tree import disk_of, entry
from leftovers import LEFTOVERS
from msgspec.structs import replace

from core.model import booted_listing
from core.model.inventory_taking import inventory_of
from core.model.listing import Entry, Listing
from core.model.seal_check import Content, Facts, check
from core.model.sealing import ItemState, SealReport, SealSettings
from core.model.test_report import Case, Outcome

BOOTED = 1_700_000_000.0
OURS = "ssh-ed25519 AAAAours test-of-1"
SETTINGS = SealSettings(enabled=True, remove=("/opt/notes",))


def machine(files: dict[str, str], made_by_the_boot: dict[str, str] | None = None) -> tuple[Listing, Content]:
    made = made_by_the_boot or {}
    listing, _ = disk_of({**files, **made})

    def since(path: str) -> float:
        """A directory is as old as the oldest of what is in it."""
        below = path.rstrip("/") + "/"
        return 1.0 if any(f"{one}/".startswith(below) for one in files) else BOOTED + 10.0

    entries = [replace(one, mtime=since(path)) for path, one in listing.entries.items()]
    return Listing(entries), lambda path: {**files, **made}[path].encode() if path in {**files, **made} else None


def found(listing: Listing, content: Content) -> dict[str, tuple[str, ...]]:
    before = booted_listing.before_boot(listing, content, BOOTED, OURS)
    items = check(before, content, SETTINGS, Facts(("ingot-run",)))
    return {item.id: item.paths for item in items if item.state is ItemState.FOUND}


def test_what_was_there_before_the_boot_is_found_with_its_path() -> None:
    for path, (item, text) in LEFTOVERS.items():
        (told,) = found(*machine({path: text}))[item]
        assert path.startswith(told), path


def test_what_the_boot_made_is_not_of_the_image() -> None:
    for path, (_, text) in LEFTOVERS.items():
        if "authorized_keys" not in path:
            assert found(*machine({"/etc/hosts": ""}, {path: text})) == {}, path


def test_what_only_the_boot_made_was_clean_in_the_image() -> None:
    listing, content = machine({"/etc/hosts": ""}, {"/etc/machine-id": "5e1f\n"})
    before = booted_listing.before_boot(listing, content, BOOTED, OURS)
    states = {
        item.id: item.state
        for item in booted_listing.made_since(check(before, content, SealSettings(keep=("mail",))), listing)
    }
    assert states["machine-id"] is ItemState.CLEAN
    assert states["registrations"] is ItemState.NOT_APPLICABLE
    assert states["mail"] is ItemState.KEPT


def test_in_a_file_of_the_boot_every_key_but_the_tests_own_was_there_before() -> None:
    path = "/home/admin/.ssh/authorized_keys"
    options = 'no-pty,command="echo log in as admin" '
    assert found(*machine({}, {path: f"{options}{OURS}\n"})) == {}
    other = "ssh-rsa AAAAother ada@example.org"
    assert found(*machine({}, {path: f"{other}\n{options}{OURS}\n"})) == {"user-ssh-keys": (path,)}
    assert "build-keys" in found(*machine({}, {"/etc/ssh/authorized_keys/a": f"{OURS}\n{other} ingot-run-web"}))


def test_links_lead_where_they_led_before_the_boot() -> None:
    listing, content = machine({"/usr/lib/os-release": "ID=debian"}, {"/usr/lib/new": ""})
    assert booted_listing.before_boot(listing, content, BOOTED, OURS).resolved("/usr/lib/os-release")
    assert booted_listing.before_boot(listing, content, BOOTED, OURS).resolved("/usr/lib/new") is None


def test_an_inventory_has_the_users_of_now_and_no_file_that_the_boot_wrote() -> None:
    passwd = "root:x:0:0:root:/root:/bin/bash\nadmin:x:1000:1000::/home/admin:/bin/bash\n"
    listing, content = machine({"/etc/fstab": "/dev/sda1 /\n"}, {"/etc/passwd": passwd, "/etc/hosts": "10.0.0.7 web\n"})
    before = booted_listing.before_boot(listing, content, BOOTED, OURS)
    taken = inventory_of(booted_listing.for_inventory(listing, before), content)
    inventory = booted_listing.noted(taken, before)
    assert [user.name for user in inventory.users] == ["root", "admin"]
    assert [file.path for file in inventory.files] == ["/etc/fstab"]
    assert booted_listing.NOTE in inventory.not_read


def report(*, sealed: bool, keep: tuple[str, ...] = ()) -> SealReport:
    listing, content = machine({"/root/.bash_history": "ls\n", "/var/log/x": ""})
    items = check(listing, content, SealSettings(enabled=sealed, keep=keep))
    return SealReport("amazon-ebs.web", sealed=sealed, items=items, stamp="")


def outcomes(cases: list[Case]) -> dict[str, tuple[Outcome, str]]:
    return {case.name: (case.outcome, case.message) for case in cases}


def test_what_is_found_fails_where_the_image_was_to_be_sealed() -> None:
    cases = outcomes(booted_listing.cases(report(sealed=True)))
    name = "history of shells and other programs"
    assert cases[name] == (Outcome.FAILED, f"{name} (/root/.bash_history)")
    assert cases["logs and the journal"][0] is Outcome.PASSED
    assert cases["DHCP leases"][0] is Outcome.SKIPPED
    told, said = outcomes(booted_listing.cases(report(sealed=False)))[name]
    assert told is Outcome.SKIPPED
    assert "/root/.bash_history" in said
    assert outcomes(booted_listing.cases(report(sealed=True, keep=("history",))))[name][0] is Outcome.SKIPPED
    assert booted_listing.not_looked("no sudo", sealed=True).outcome is Outcome.ERROR
    assert booted_listing.not_looked("no sudo", sealed=False).outcome is Outcome.SKIPPED


def test_what_find_says_from_where_it_began_is_absolute() -> None:
    """As core/adapters/machine_reading.py has it."""
    from core.adapters.disk_reading import entries

    said = b"".join(b"d\x00755\x000\x000\x000\x001.0\x00" + path + b"\x00\x00" for path in (b".", b"./boot/.x", b""))
    assert [one.path for one in entries(said)] == ["/", "/boot/.x", "/"]
    assert isinstance(entry("/"), Entry)
