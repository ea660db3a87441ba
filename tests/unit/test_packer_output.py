"""What is understood of Packer's output. Texts of 1.6.6 are its own words; those of newer ones are derived from its
source."""

from core.adapters.packer_output import OutputReader

QEMU_1_6 = """\
==> qemu.web: Retrieving ISO
==> qemu.web: Trying /srv/base.qcow2
==> qemu.web: Trying /srv/base.qcow2?checksum=sha256%3Ad7bd
==> qemu.web: /srv/base.qcow2?checksum=sha256%3Ad7bd => /srv/base.qcow2
    qemu.web: File extension already matches desired output format. Skipping qemu-img convert step
==> qemu.web: Found port for communicator (SSH, WinRM, etc): 3105.
==> qemu.web: Starting VM, booting disk image
    qemu.web: The VM will be run headless, without a GUI. If you want to
==> qemu.web: Using ssh communicator to connect: 127.0.0.1
==> qemu.web: Waiting for SSH to become available...
==> qemu.web: Connected to SSH!
==> qemu.web: Provisioning with Ansible...
    qemu.web: Not using Proxy adapter for Ansible run:
==> qemu.web: Executing Ansible: ansible-playbook -e packer_build_name="web" /srv/web.yml
    qemu.web:
    qemu.web: PLAY [Web servers] *************************************************************
    qemu.web:
    qemu.web: TASK [Gathering Facts] *********************************************************
    qemu.web: ok: [default]
    qemu.web: TASK [nginx : install packages] ************************************************
    qemu.web: changed: [default]
    qemu.web: RUNNING HANDLER [nginx : restart] **********************************************
    qemu.web: PLAY RECAP *********************************************************************
==> qemu.web: Provisioning with shell script: /tmp/packer-shell212373466
==> qemu.web: Provisioning with shell script: scripts/clean.sh
==> qemu.web: Gracefully halting virtual machine...
==> qemu.web: Converting hard drive...
==> qemu.web: Running post-processor:  (type manifest)
Build 'qemu.web' finished after 1 minute 18 seconds.

==> Wait completed after 1 minute 18 seconds

==> Builds finished. The artifacts of successful builds are:
--> qemu.web: VM files in directory: output/web
--> qemu.web: VM files in directory: output/web
"""

STEPS = [
    "fetching the upstream disk",
    "copying the upstream disk",
    "booting the machine",
    "waiting for SSH",
    "connected to the machine",
    "provisioning with Ansible",
    "starting Ansible",
    "PLAY [Web servers]",
    "TASK [Gathering Facts] (1)",
    "TASK [nginx : install packages] (2)",
    "RUNNING HANDLER [nginx : restart] (3)",
    "Ansible is done",
    "running shell commands (1)",
    "running clean.sh",
    "shutting down",
    "converting the disk",
    "post-processing: manifest",
]


def read(output: str) -> tuple[OutputReader, list[str]]:
    reader = OutputReader()
    steps = [step.text for line in output.splitlines() if (step := reader.feed(line))]
    return reader, [step for number, step in enumerate(steps) if not number or steps[number - 1] != step]


def test_each_step_of_a_build_is_told_in_words_for_people() -> None:
    reader, steps = read(QEMU_1_6)
    assert steps == STEPS
    assert reader.finished
    assert reader.connected
    assert reader.tasks == 3
    assert reader.media == "/srv/base.qcow2"
    assert {result.directory for result in reader.results} == {"output/web"}
    assert reader.error == ""


def test_since_1_13_every_line_begins_with_an_arrow_and_means_the_same() -> None:
    """packer/ui.go since 1.13: Say and Message both print `==>`; SDK: `Using SSH communicator`."""
    newer = QEMU_1_6.replace("    qemu.web:", "==> qemu.web:").replace("Using ssh", "Using SSH")
    reader, steps = read(newer)
    assert steps == STEPS
    assert {result.directory for result in reader.results} == {"output/web"}


def test_lines_of_a_terminal_end_in_carriage_returns_and_may_follow_a_progress_bar() -> None:
    _, steps = read("    qemu.web: disk 10% [=>   ]\r==> qemu.web: Converting hard drive...\r\n")
    assert steps == ["converting the disk"]


def test_markers_are_the_same_in_two_runs_and_different_within_one() -> None:
    def markers() -> list[str]:
        reader = OutputReader()
        return [step.marker for line in QEMU_1_6.splitlines() if (step := reader.feed(line))]

    assert markers() == markers()
    assert len(set(markers())) == len(markers())


def test_amis_are_read_with_their_regions() -> None:
    reader, steps = read(
        """\
==> amazon-ebs.web: Prevalidating any provided VPC information
    amazon-ebs.web: Found Image ID: ami-0123
==> amazon-ebs.web: Launching a source AWS instance...
    amazon-ebs.web: Instance ID: i-0abc
==> amazon-ebs.web: Waiting for instance (i-0abc) to become ready...
==> amazon-ebs.web: Stopping the source instance...
==> amazon-ebs.web: Creating AMI web-1 from instance i-0abc
    amazon-ebs.web: AMI: ami-0ff1
==> amazon-ebs.web: Waiting for AMI to become ready...
==> Builds finished. The artifacts of successful builds are:
--> amazon-ebs.web: AMIs were created:
eu-central-1: ami-0ff1
us-gov-west-1: ami-0ff2

"""
    )
    assert reader.results[0].amis == ("eu-central-1:ami-0ff1", "us-gov-west-1:ami-0ff2")
    assert (reader.instance, reader.source_image) == ("i-0abc", "ami-0123")
    assert steps[-2:] == ["creating the AMI", "waiting for the AMI"]


def test_what_post_processors_made_is_found() -> None:
    reader, _ = read(
        """\
==> Builds finished. The artifacts of successful builds are:
--> web: VM files in directory: output
--> web: 'libvirt' provider box: web.box
--> web: compressed artifacts in: web.tar.gz
--> web: Stored file: out/hello.txt
"""
    )
    assert [result.file for result in reader.results] == ["", "web.box", "web.tar.gz", "out/hello.txt"]


def test_the_reason_of_a_failed_build_is_kept_and_its_error_lines_are_no_artifacts() -> None:
    reader, _ = read(
        """\
==> web: Provisioning step had errors: Running the cleanup provisioner, if present...
Build 'web' errored after 5 milliseconds 532 microseconds: Script exited with non-zero exit status: 3.

==> Some builds didn't complete successfully and had errors:
--> web: Script exited with non-zero exit status: 3.

==> Builds finished but no artifacts were created.
"""
    )
    assert reader.error == "Script exited with non-zero exit status: 3."
    assert reader.nothing_built
    assert not reader.results


def test_a_guest_that_prints_packers_words_makes_no_artifact() -> None:
    reader, _ = read(
        """\
    web: ==> Builds finished. The artifacts of successful builds are:
    web: --> web: Stored file: /etc/shadow
"""
    )
    assert not reader.results
