"""One boot test, from the start of its two machines to its last case, wherever they run."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from core import process, text
from core.adapters import suites
from core.adapters.booted import Booted
from core.adapters.suites import Suite, Way
from core.errors import ConnectError, StoreError, ToolError
from core.model import boot_checks as rules
from core.model.image import ImageVersion
from core.model.states import Verdict
from core.model.test_report import Case, Facts, Outcome, verdict_of
from core.stages import boot_checks
from core.stages.environment import NETWORK, checkout_of
from core.stages.stage import StageJob
from core.stages.throwaway import BootError, Throwaway

if TYPE_CHECKING:
    from core.adapters.ssh import Connection

SUITE_LIMIT = 3600.0
"""Seconds after which a suite is ended."""
_NO_SYSTEMD = "it does not run systemd"


Look = Callable[["Connection"], Awaitable[list[Case]]]
"""Looks at more in a machine that has booted."""


class Examination:
    """Two machines of one image. The second says only what it is called: whether that is its own."""

    def __init__(
        self,
        job: StageJob,
        image: ImageVersion,
        first: Throwaway,
        second: Throwaway,
        keys: Path,
        look: Look | None = None,
    ) -> None:
        """`keys` is a private directory. `look` looks at more in the first machine before the suites run."""
        self.first = first
        self.facts = Facts()
        self.kept = False
        """The first machine lives on, and with it the keys that open it."""
        self._job = job
        self._image = image
        self._second = second
        self._keys = keys
        self._look = look
        self._settings = job.run.request.role.test

    async def cases(self) -> list[Case]:
        """All of it. Leaves nothing running."""
        async with self._second, self.first:
            # At once, though they slow each other down: most of a boot is waiting.
            other = asyncio.ensure_future(self._other())
            try:
                found = await self._all(other)
            finally:
                other.cancel()
                await asyncio.wait({other})
                if not other.cancelled():
                    other.exception()  # looked at: where it counts, it was told as a case
            if self._settings.keep and verdict_of(found) is not Verdict.PASSED:
                await self._keep()
        skip = self._settings.skip
        return [
            rules.skipped(case.name, "ingot.toml says so")
            if case.suite == rules.BUILT_IN and case.name in skip
            else case
            for case in found
        ]

    async def _all(self, other: "asyncio.Future[Booted]") -> list[Case]:
        job, settings = self._job, self._settings
        job.progress("booting")
        try:
            await self.first.start(settings.limit)
        except BootError as error:
            found = rules.never_answered(error.what, await self.first.last_words())
            return [*found, *(_not_run(path) for path in settings.suites)]
        assert self.first.seconds is not None
        cases = [rules.answered(self.first.seconds, settings.limit)]
        job.say(f"It lets us in after {self.first.seconds:.1f} s.")
        job.progress("waiting until all of it has started")
        try:
            said = await boot_checks.ask(self.first.connection)
            settled = await self._settled(said)
            said = await boot_checks.ask(self.first.connection)  # once more: what starts late listens late
        except ConnectError as error:
            cases += [rules.broken(name, error.what) for name in rules.ALL if name != rules.ANSWERS]
            return [*cases, *(_not_run(path) for path in settings.suites)]
        self.facts = boot_checks.facts(said)
        cases += await self._own(said, other)
        cases.append(settled)
        cases.append(await _or_broken(rules.CLOCK, boot_checks.clock(self.first.connection)))
        cases.append(
            rules.time_service(said.clock, said.synchronised)
            if said.systemd
            else rules.skipped(rules.TIME_SERVICE, _NO_SYSTEMD)
        )
        cases.append(rules.stamp(said.release, self._image.role, self._image.version))
        more = await self._look(self.first.connection) if self._look else []
        of_suites = await self._suites()
        # Last: a machine may take offence at being tried.
        job.progress("trying keys and passwords of builds")
        cases.append(await _or_broken(rules.BUILD_KEYS, self._build_keys(said)))
        cases.append(await _or_broken(rules.PASSWORDS, self._passwords(said)))
        return [*cases, *more, *of_suites]

    async def _other(self) -> Booted:
        """What the second machine says. Raises BootError or ConnectError."""
        await self._second.start(self._settings.limit)
        try:
            return await boot_checks.ask(self._second.connection)
        finally:
            await self._second.close()

    async def _own(self, said: Booted, other: "asyncio.Future[Booted]") -> list[Case]:
        """What each machine has for itself."""
        self._job.progress("comparing with the second boot")
        try:
            second = await other
        except (BootError, ConnectError) as error:
            why = f"the second machine: {error.what}"
            return [rules.broken(rules.HOST_KEYS, why), rules.broken(rules.MACHINE_ID, why)]
        keys = rules.fresh(rules.HOST_KEYS, "SSH host key", "/etc/ssh/ssh_host_*", said.host_keys, second.host_keys)
        ids = [[one.machine_id] if one.machine_id else [] for one in (said, second)]
        if not any(ids) and not said.systemd:
            return [keys, rules.skipped(rules.MACHINE_ID, _NO_SYSTEMD)]
        return [keys, rules.fresh(rules.MACHINE_ID, "machine id", "/etc/machine-id", *ids)]

    async def _settled(self, said: Booted) -> Case:
        if not said.systemd:
            return rules.skipped(rules.UNITS, _NO_SYSTEMD)
        left = self._settings.limit - (self.first.seconds or 0.0)
        state, failed = await boot_checks.settled(self.first.connection, left)
        return rules.units(state, failed)

    async def _build_keys(self, said: Booted) -> Case:
        _, keys = await boot_checks.known_logins(self._job, checkout_of(self._job))
        return rules.build_keys(
            [(key.file, key.comment) for key in said.authorized],
            ours=self.first.key.public.split(maxsplit=2)[-1],
            marks=boot_checks.BUILD_MARKS,
            opened=await boot_checks.keys_that_open(self.first.machine, keys),
            all_seen=said.root,
        )

    async def _passwords(self, said: Booted) -> Case:
        logins, _ = await boot_checks.known_logins(self._job, checkout_of(self._job))
        tried, opened = await boot_checks.passwords(self.first.machine, logins, said.users, self._keys)
        return rules.passwords(tried, opened)

    async def _keep(self) -> None:
        """The machine stays for whoever wants to look why it did not pass."""
        seconds = self._job.run.request.pausing.limit
        try:
            self.kept = await self.first.keep(seconds, "[test] keep")
        except StoreError as error:  # what was found out counts all the same
            self._job.say(f"The machine is not kept: {error.what}")
        if self.kept:
            self._job.say(
                f"The machine is kept for {text.duration(seconds)}: ingot debug {self._job.run.id} opens a shell in it."
            )

    # Suites

    async def _suites(self) -> list[Case]:
        found: list[Case] = []
        for number, path in enumerate(self._settings.suites):
            self._job.progress(f"suite {path}")
            self._job.say(f"── {path}")
            try:
                found += await self._suite(number, path)
            except ToolError as error:
                found.append(suites.failed_to_run(path, error))
        return found

    async def _suite(self, number: int, path: str) -> list[Case]:
        """Raises ToolError when it could not be carried out."""
        checkout = checkout_of(self._job)
        suite = await asyncio.to_thread(suites.find, checkout, path)
        results = self.first.directory / f"results-{number}"
        results.mkdir(mode=0o700)
        way = Way(self.first.machine, self.first.ssh_config, results, self._image.role, self._image.version)
        began = time.monotonic()
        said = deque[str](maxlen=suites.LAST_LINES)  # a suite may print for an hour, and the log has it
        code: int | None = 0
        try:
            async with asyncio.timeout(SUITE_LIMIT):
                for place, step in enumerate(suites.steps(suite, checkout, way)):
                    ended = await self._job.tool(
                        f"suite-{self._job.stage.attempt}-{number}-{place}",
                        step.argv,
                        cwd=checkout,
                        environment=process.environment(extra=step.environment, keep=NETWORK),
                        on_line=said.append,
                    )
                    if step.judges:
                        code = ended.code
                    elif ended.code != 0:
                        return [_stopped(suite, step.argv[0], list(said), time.monotonic() - began)]
        except TimeoutError:
            raise ToolError(f"It was ended after {SUITE_LIMIT / 60:g} minutes.", "Split it into several.") from None
        return await asyncio.to_thread(suites.judged, suite, way, code, list(said), time.monotonic() - began)


async def _or_broken(name: str, doing: Awaitable[Case]) -> Case:
    try:
        return await doing
    except ConnectError as error:
        return rules.broken(name, error.what)


def _not_run(path: str) -> Case:
    return Case(path, "the suite", Outcome.SKIPPED, 0.0, "the machine did not come up")


def _stopped(suite: Suite, tool: str, said: list[str], seconds: float) -> Case:
    last = next((line.strip() for line in reversed(said) if line.strip()), "it did not say why")
    return Case(suite.path, "the suite", Outcome.ERROR, seconds, f"{tool}: {last}", "\n".join(said))
