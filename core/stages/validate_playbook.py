"""Asks Ansible whether a playbook can be read whole, with the variables that the build will have."""

import re
from collections.abc import Mapping

from core import process
from core.adapters import ansible
from core.errors import ToolError, WorkspaceError
from core.stages.playbook import prepare
from core.stages.stage import StageJob

_PLACE = re.compile(r"(?:The error appears to be in '|Origin: )(?P<path>[^':]+)(?:': line |:)(?P<line>\d+)")
_ERROR = re.compile(r"^(?:ERROR!|\[ERROR\]:) (?P<error>.+)")


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Gives `ansible`, its version. Raises WorkspaceError for a playbook that is not right, ToolError where there is no
    Ansible."""
    prepared = await prepare(job, job.run.request.builds[0])
    playbook = prepared.settings.playbook
    if process.find(ansible.PROGRAM) is None:
        raise ToolError(
            f"{playbook} cannot be run: {ansible.PROGRAM} is not installed.",
            "Install Ansible (Debian: apt install ansible), then start the run again.",
        )
    version = await ansible.version(prepared.environment)
    job.say(f"Ansible {version}, for {playbook}.")
    if not (prepared.checkout / playbook).is_file():
        raise WorkspaceError(f"There is no playbook {playbook} at this commit.", "Commit it, and build again.")
    job.progress(f"checking {playbook}")
    # Not under a holder: it makes nothing, so it is ended with the worker and simply done again.
    ended = await process.run(
        [ansible.PROGRAM, "--syntax-check", "--inventory", f"{prepared.role.name},", playbook],
        cwd=prepared.checkout,
        env=prepared.environment,
    )
    said = (ended.out + ended.err).decode(errors="replace").splitlines()
    for line in said:
        job.say(line)
    if ended.code == 0:
        return {"ansible": version}
    error = next((found["error"] for line in said if (found := _ERROR.match(line))), f"exit status {ended.code}")
    place = next((found for line in said if (found := _PLACE.search(line))), None)
    where = f"{place['path'].removeprefix(f'{prepared.checkout}/')}:{place['line']}" if place else playbook
    raise WorkspaceError(
        f"{where}: {error.strip().rstrip('.')}.", "Correct it, commit, and build again. The log has Ansible's words."
    )
