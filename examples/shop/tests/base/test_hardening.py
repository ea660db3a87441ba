"""What every machine of the shop promises, whatever else is in it."""

import pytest

SYSCTLS = {
    "kernel.kptr_restrict": 2,
    "kernel.dmesg_restrict": 1,
    "kernel.unprivileged_bpf_disabled": 1,
    "net.ipv4.conf.all.accept_redirects": 0,
    "net.ipv4.tcp_syncookies": 1,
}


def test_ssh_takes_keys_alone_and_forwards_nothing(host):
    settings = dict(line.split(" ", 1) for line in host.check_output("sshd -T").splitlines() if " " in line)
    assert settings["passwordauthentication"] == "no"
    assert settings["kbdinteractiveauthentication"] == "no"
    assert settings["permitrootlogin"] in ("without-password", "prohibit-password")
    assert settings["x11forwarding"] == settings["allowtcpforwarding"] == settings["allowagentforwarding"] == "no"


def test_nobody_has_a_password(host):
    fields = [line.split(":") for line in host.check_output("cat /etc/shadow").splitlines()]
    assert [name for name, password, *_ in fields if password[:1] not in ("!", "*")] == []


def test_the_firewall_is_up_and_drops_what_nobody_asked_for(host):
    assert host.service("nftables").is_enabled
    chain = host.check_output("nft list chain inet filter input")
    assert "policy drop;" in chain
    assert "tcp dport 22 accept" in chain


def test_the_kernel_was_started_and_set_as_hardened(host):
    assert "init_on_alloc=1 slab_nomerge randomize_kstack_offset=1" in host.check_output("cat /proc/cmdline")
    names = list(SYSCTLS)
    found = host.check_output("sysctl --values " + " ".join(names)).split()
    assert dict(zip(names, map(int, found), strict=True)) == SYSCTLS


@pytest.mark.parametrize("unit", ["apt-daily-upgrade.timer", "systemd-timesyncd.service"])
def test_it_keeps_itself_up_to_date_and_on_time(host, unit):
    assert host.check_output("systemctl is-active %s", unit) == "active"


def test_only_ssh_and_what_the_role_opens_is_reached_from_outside(host):
    opened = host.check_output("nft list chain inet filter role")
    listening = host.check_output("ss -Hltn").splitlines()
    ports = {line.split()[3].rsplit(":", 1)[1] for line in listening if not line.split()[3].startswith("127.")}
    # 5355 is name resolution in the neighbourhood, which the firewall does not let in.
    assert {port for port in ports - {"22", "5355"} if port not in opened} == set()
