"""nginx serves the shop's pages, and passes on what is not a page."""

import shlex

ASK = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=60)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
print(answer.headers)
print(answer.read().decode())
"""


def ask(host, path):
    """Status, headers and body, as somebody on the machine gets them."""
    said = host.check_output(f"python3 -c {shlex.quote(ASK)} {shlex.quote('http://127.0.0.1' + path)}")
    status, rest = said.split("\n", 1)
    headers, _, body = rest.partition("\n\n")
    return int(status), headers.lower(), body


def release(host):
    lines = host.check_output("cat /etc/image-release").splitlines()
    values = {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
    return f"{values['IMAGE_ROLE']} {values['IMAGE_VERSION']}"


def test_nginx_runs_and_starts_at_boot(host):
    nginx = host.service("nginx")
    assert nginx.is_running
    assert nginx.is_enabled
    assert host.run("nginx -t").rc == 0


def test_the_first_page_is_the_shop_and_says_its_version(host):
    status, headers, body = ask(host, "/")
    assert status == 200
    assert "The shop" in body
    assert release(host) in body
    assert "x-content-type-options: nosniff" in headers
    assert "content-security-policy: default-src 'self'" in headers
    assert "server: nginx\n" in headers + "\n", "which nginx it is is nobody's business"


def test_it_says_that_it_is_well(host):
    status, _, body = ask(host, "/health")
    assert (status, body.strip()) == (200, f"ok {release(host)}")


def test_orders_are_passed_on_to_the_backend(host):
    status, _, _ = ask(host, "/api/orders")
    assert status in (502, 504), "there is no backend here, and nginx says so"


def test_the_firewall_lets_the_web_in(host):
    assert "tcp dport { 80, 443 } accept" in host.check_output("nft list chain inet filter role")
