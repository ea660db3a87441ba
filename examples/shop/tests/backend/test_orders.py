"""The order service takes orders and keeps them."""

import json
import shlex

ASK = """
import json, sys, urllib.error, urllib.request
body = sys.argv[2].encode() if len(sys.argv) > 2 else None
try:
    answer = urllib.request.urlopen("http://127.0.0.1:8080" + sys.argv[1], body, timeout=60)
except urllib.error.HTTPError as error:
    answer = error
print(json.dumps([answer.status, json.load(answer)]))
"""


def ask(host, *words):
    """Status and answer; a second word is what is posted."""
    return json.loads(host.check_output(f"python3 -c {shlex.quote(ASK)} {shlex.join(words)}"))


def test_the_service_runs_as_nobody_in_particular(host):
    orders = host.service("orders")
    assert orders.is_running
    assert orders.is_enabled
    assert host.check_output("ps -o user= -p $(systemctl show --property MainPID --value orders)") == "orders"


def test_it_says_that_it_is_well_and_what_it_is(host):
    status, said = ask(host, "/api/health")
    assert (status, said["status"]) == (200, "ok")
    name, _, version = said["image"].partition(" ")
    release = host.check_output("cat /etc/image-release")
    assert f'IMAGE_ROLE="{name}"' in release
    assert f'IMAGE_VERSION="{version}"' in release


def test_an_order_outlives_a_restart(host):
    status, placed = ask(host, "/api/orders", '{"item": "anvil", "count": 2}')
    assert (status, placed["item"], placed["count"]) == (201, "anvil", 2)
    host.check_output("systemctl restart orders")
    host.check_output("for n in $(seq 30); do ss -Hltn | grep -q :8080 && break; sleep 1; done")
    assert placed in ask(host, "/api/orders")[1]


def test_what_is_no_order_is_refused(host):
    assert ask(host, "/api/orders", '{"count": 2}')[0] == 400


def test_the_firewall_lets_the_frontend_in(host):
    assert "tcp dport 8080 accept" in host.check_output("nft list chain inet filter role")
