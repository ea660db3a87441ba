"""Reads what Packer prints while it builds: what it does now, what it made, and why it failed.

Works on lines of a log, so a build that was adopted after a crash is understood as well as one that was watched from
its start. Knows the texts of Packer 1.6 to 1.16 (sources: packer/ui.go, command/build.go, and the Say calls of the
builders); a line that it does not know changes nothing.
"""

import re
from dataclasses import dataclass, field

import msgspec

_FROM_BUILD = re.compile(r"^(?:==>|   ) (?P<build>[^\s:][^:]*): (?P<message>.*)$")
_RESULT = re.compile(r"^--> (?P<build>[^:]+): (?P<text>.*)$")
_ERRORED = re.compile(r"^(?:==> )?Build '(?P<build>[^']*)' errored after (?P<after>.+?): (?P<error>.*)$")
_FINISHED = re.compile(r"^(?:==> )?Build '(?P<build>[^']*)' finished after ")
_AMI = re.compile(r"^(?P<region>[a-z]{2}(?:-[a-z]+)+-\d+): (?P<ami>ami-[0-9a-z]+)$")
_TASK = re.compile(r"^(?P<kind>TASK|RUNNING HANDLER) \[(?P<name>.*)\] \*+$")
_PLAY = re.compile(r"^PLAY \[(?P<name>.*)\] \*+$")
_INLINE_SCRIPT = re.compile(r"(?:^|/)packer-(?:shell|powershell|windows-shell)\w*$")

_STEPS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"^Retrieving (?:ISO|.*ISO)", "fetching the upstream disk"),
        (r"^Trying \S+$", "fetching the upstream disk"),
        (r"^(?:Copying hard drive|File extension already matches)", "copying the upstream disk"),
        (r"^Creating required virtual machine disks", "creating the disk"),
        (r"^Resizing hard drive", "resizing the disk"),
        (r"^Creating (?:CD|floppy) disk", "making the seed disk"),
        (r"^Starting VM, booting", "booting the machine"),
        (r"^Waiting \S+ for boot", "booting the machine"),
        (r"^Typing the boot commands? over VNC", "typing the boot command"),
        (r"^Waiting for SSH to become available", "waiting for SSH"),
        (r"^Waiting for WinRM to become available", "waiting for WinRM"),
        (r"^Connected to (?:SSH|WinRM)!", "connected to the machine"),
        (r"^Provisioning with Ansible", "provisioning with Ansible"),
        (r"^Executing Ansible Galaxy", "installing Ansible requirements"),
        (r"^Executing Ansible:", "starting Ansible"),
        (r"^PLAY RECAP", "Ansible is done"),
        (r"^Restarting Machine", "restarting the machine"),
        (r"^(?:Gracefully halting virtual machine|Waiting for shutdown|Halting the virtual machine)", "shutting down"),
        (r"^Converting hard drive", "converting the disk"),
        (r"^Provisioning step had errors", "cleaning up after a failed provisioner"),
        (r"^Deleting output directory", "cleaning up"),
        (r"^Prevalidating any provided VPC information", "looking at the network"),
        (r"^Creating temporary keypair", "making a key pair"),
        (r"^Creating temporary security group", "making a security group"),
        (r"^Launching a (?:source|spot) AWS instance", "launching the instance"),
        (r"^Waiting for instance \(", "waiting for the instance to start"),
        (r"^(?:Stopping the source instance|Waiting for the instance to stop)", "stopping the instance"),
        (r"^Creating AMI \S+ from instance", "creating the AMI"),
        (r"^Waiting for AMI to become ready", "waiting for the AMI"),
        (r"^Copying/Encrypting AMI", "copying the AMI to other regions"),
        (r"^(?:Adding tags to AMI|Creating AMI tags|Creating snapshot tags)", "tagging the AMI"),
        (r"^Terminating the source AWS instance", "terminating the instance"),
    )
)


class Progress(msgspec.Struct, frozen=True):
    """What the build does now."""

    text: str
    """In a few words, for a person."""
    marker: str
    """The same for every run of the same template, so that runs can be compared; unique in its run."""


@dataclass(slots=True)
class Result:
    """One artifact as Packer names it at its end."""

    build: str
    text: str
    more: list[str] = field(default_factory=list[str])
    """The lines that follow: the AMI of each region."""

    @property
    def directory(self) -> str:
        return _after(self.text, "VM files in directory: ")

    @property
    def file(self) -> str:
        """The path of a file that a builder or a post-processor says that it wrote."""
        if stored := _after(self.text, "Stored file: "):
            return stored
        if box := re.match(r"^'[^']*' provider box: (?P<path>.+)$", self.text):
            return box["path"]
        return _after(self.text, "compressed artifacts in: ")

    @property
    def amis(self) -> tuple[str, ...]:
        """`region:ami-…`, as the manifest post-processor writes them."""
        found = (_AMI.match(line.strip()) for line in self.more)
        return tuple(f"{match['region']}:{match['ami']}" for match in found if match)


@dataclass(slots=True)
class OutputReader:
    """Takes Packer's output line by line; afterwards its fields say what came of it."""

    results: list[Result] = field(default_factory=list[Result])
    error: str = ""
    """What Packer gives as the reason of a failed build."""
    finished: bool = False
    """Packer said that a build finished."""
    nothing_built: bool = False
    """Packer ended with nothing made: no build matched, or none succeeded."""
    instance: str = ""
    """EC2's id of the machine."""
    source_image: str = ""
    """The AMI that the template's filter found."""
    media: str = ""
    """Where Packer itself fetched its media from."""
    connected: bool = False
    ami: str = ""
    """Id of the AMI that was made, as it is said while that goes on, and so also of a build that then fails."""
    tasks: int = 0
    _seen: dict[str, int] = field(default_factory=dict[str, int])
    _inline_scripts: int = 0
    _in_results: bool = False

    def feed(self, line: str) -> Progress | None:
        """The step that this line begins, or None when it begins none."""
        line = line.rstrip("\r\n").rpartition("\r")[2]  # a progress bar may stand before it
        if line.startswith("==> Builds finished. The artifacts of successful builds are:"):
            self.results.clear()
            self._in_results = True
            return None
        if line.startswith("==> Builds finished but no artifacts were created"):
            self.nothing_built = True
            return None
        if self._in_results and self._read_result(line):
            return None
        if errored := _ERRORED.match(line):
            self.error = errored["error"]
            return None
        if _FINISHED.match(line):
            self.finished = True
            return None
        if spoken := _FROM_BUILD.match(line):
            return self._step(spoken["message"].strip())
        return None

    def _read_result(self, line: str) -> bool:
        if result := _RESULT.match(line):
            self.results.append(Result(result["build"], result["text"]))
            return True
        if line.startswith("==>") or not self.results:
            return False
        if line.strip():
            self.results[-1].more.append(line)
        return True

    def _step(self, message: str) -> Progress | None:
        if task := _TASK.match(message):
            self.tasks += 1
            return self._progress(f"{task['kind']} [{task['name']}] ({self.tasks})", f"{task['kind']} [{task['name']}]")
        if play := _PLAY.match(message):
            return self._progress(f"PLAY [{play['name']}]")
        if script := _after(message, "Provisioning with shell script: "):
            if _INLINE_SCRIPT.search(script):
                self._inline_scripts += 1
                return self._progress(f"running shell commands ({self._inline_scripts})", "shell commands")
            return self._progress(f"running {script.rpartition('/')[2]}", f"script {script}")
        if message.startswith("Running local shell script: "):
            return self._progress("running a script on this machine")
        if copied := re.match(r"^(?P<way>Uploading|Downloading) (?P<from>.+?) => (?P<to>.+)$", message):
            return self._progress(f"{copied['way'].lower()} {copied['from'].rstrip('/').rpartition('/')[2]}")
        if processor := re.match(r"^Running post-processor: *(?P<name>\S*?) *(?:\(type (?P<type>[^)]+)\))?$", message):
            return self._progress(f"post-processing: {processor['type'] or processor['name']}")
        self._note(message)
        for pattern, text in _STEPS:
            if pattern.search(message):
                return self._progress(text)
        return None

    def _note(self, message: str) -> None:
        """Keep the facts that later stages, and a person in the machine, ask for."""
        if instance := _after(message, "Instance ID: "):
            self.instance = instance
        elif image := _after(message, "Found Image ID: "):
            self.source_image = image
        elif ami := re.match(r"AMI: (ami-[0-9a-f]+)$", message):
            self.ami = ami[1]
        elif message.startswith("Trying ") and " " not in message[7:]:
            self.media = message[7:].partition("?checksum=")[0]
        elif message.startswith("Connected to "):
            self.connected = True

    def _progress(self, text: str, marker: str = "") -> Progress:
        marker = marker or text
        count = self._seen[marker] = self._seen.get(marker, 0) + 1
        return Progress(text, f"{marker} #{count}")


def _after(text: str, start: str) -> str:
    return text[len(start) :].strip() if text.startswith(start) else ""
