"""Looks into a machine that a test has booted where nobody could open its disk: what of its making is left, and what is
in it. The rules are those that the stages *prove* and *inspect* have for disks.

What a boot changes it changes before anybody can look: see core/model/booted_listing.py for what is not seen so.
"""

import asyncio
import shutil
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from core.adapters.disk_reading import Reading
from core.adapters.machine_reading import read_machine
from core.errors import ConnectError, ToolError
from core.model import booted_listing, inventory
from core.model.image import ImageVersion
from core.model.inventory import Inventory
from core.model.inventory_taking import inventory_of
from core.model.seal_check import PATHS, Facts, check, has_ssh_server, host_keys_by
from core.model.sealing import SealReport
from core.model.stamp import read_back
from core.model.test_report import Case
from core.stages.prove import marks, reading_of_run
from core.stages.stage import StageJob

if TYPE_CHECKING:
    from core.adapters.ssh import Connection

_RELEASE = "/etc/image-release"


class MachineSeal:
    """One look, and what came of it."""

    def __init__(self, job: StageJob, image: ImageVersion, ours: str) -> None:
        """`ours` is the public key that the test gets in with."""
        self.seal: SealReport | None = None
        self.inventory: Inventory | None = None
        self._job = job
        self._image = image
        self._ours = ours

    async def __call__(self, connection: "Connection") -> list[Case]:
        job = self._job
        sealed = job.run.request.role.seal.enabled
        place = reading_of_run(job.directory, job.stage.build)
        job.progress("looking what is in the machine")
        try:
            booted = await read_machine(connection, (*PATHS, *inventory.PATHS), place)
            reading, user = Reading(place), connection.machine.login.user
            self.seal, self.inventory = await asyncio.to_thread(self._look, reading, booted, user)
        except (ConnectError, ToolError) as error:
            return [booted_listing.not_looked(error.what, sealed=sealed)]
        except (ValueError, msgspec.MsgspecError) as error:  # it can say anything
            why = f"what the machine said of its disks cannot be read: {error}"
            return [booted_listing.not_looked(why, sealed=sealed)]
        finally:
            # Copies of what opens the image's doors (shadow(5)) lie there.
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        return booted_listing.cases(self.seal)

    def _look(self, reading: Reading, booted: float, user: str) -> tuple[SealReport, Inventory]:
        settings = self._job.run.request.role.seal
        before = booted_listing.before_boot(reading.listing, reading.content, booted, self._ours)
        if "/etc/passwd" not in before.entries:  # the boot made users: who the test comes as is one of them
            settings = replace(settings, users=tuple(one for one in settings.users if one != user))
        found = check(before, reading.content, settings, Facts((f"ingot-{self._image.run}", *marks(self._job))))
        stamp = read_back(reading.content(_RELEASE) or b"")
        report = SealReport(
            build=self._job.stage.build,
            sealed=settings.enabled,
            items=booted_listing.made_since(found, reading.listing),
            stamp=f"{stamp.role} {stamp.version}".strip(),
            host_keys_by=host_keys_by(reading.listing, reading.content),
            ssh_server=has_ssh_server(reading.listing),
        )
        seen = inventory_of(booted_listing.for_inventory(reading.listing, before), reading.content)
        return report, booted_listing.noted(seen, before)
