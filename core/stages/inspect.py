"""The stage that writes down what is in a build's disk: from what *prove* read of it, without opening it again.

The report `inventory-<build>` goes on the ledger with the image version. It starts no tool.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from core.adapters.disk_reading import Reading
from core.model.inventory import Inventory
from core.model.inventory_taking import inventory_of
from core.stages import evidence
from core.stages.stage import StageJob
from core.stages.work import in_thread


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Where the disk was not read, which *prove* has said why, there is no report, and that is said."""
    build = job.stage.build
    name, place = f"inventory-{build}", job.directory / "reading" / build
    if name in evidence.names(job):
        job.say("It was written down before the interruption; that is used.")
        found = True
    elif found := (place / "listing.json").is_file():
        inventory = await in_thread(_inventory, place)
        await evidence.write(job, name, inventory)
        for line in _summary(inventory):
            job.say(line)
    else:
        job.say(f"What is in the disk of {build} is not known: it was not read.")
    # Copies of what opens the image's doors (shadow(5)) lie there, and nothing needs them any more.
    await in_thread(shutil.rmtree, place, ignore_errors=True)
    return {"inventory": found}


def _inventory(place: Path) -> Inventory:
    reading = Reading(place)
    return inventory_of(reading.listing, reading.content)


def _summary(inventory: Inventory) -> list[str]:
    system = inventory.system
    return [
        f"{system.name or system.id or 'A system without a name'}, kernel {', '.join(system.kernels) or 'not found'}",
        f"Packages: {len(inventory.packages)}; services enabled or masked: {len(inventory.services)};"
        f" users who can log in: {sum(user.can_log_in for user in inventory.users)} of {len(inventory.users)}",
        *(f"Not read: {words}" for words in inventory.not_read),
    ]
