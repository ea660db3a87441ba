"""PostgreSQL accepts, and lets in whom it should."""


def query(host, sql):
    return host.check_output("runuser -u postgres -- psql --no-psqlrc --tuples-only --no-align --command %s", sql)


def test_it_accepts_connections(host):
    assert host.service("postgresql@15-main").is_running
    assert "accepting connections" in host.check_output("runuser -u postgres -- pg_isready")
    assert query(host, "select 6 * 7") == "42"


def test_the_shop_has_its_database_and_nobody_else_has(host):
    owner = "select pg_get_userbyid(datdba) from pg_database where datname = 'shop'"
    assert query(host, owner) == "shop"
    assert query(host, "select has_database_privilege('public', 'shop', 'connect')") == "f"


def test_no_password_is_in_the_image(host):
    assert query(host, "select count(*) from pg_authid where rolpassword is not null") == "0"
    assert host.run("psql --host 127.0.0.1 --username shop --no-password --command 'select 1' shop").rc != 0


def test_it_listens_for_the_backend_over_tls(host):
    assert query(host, "show listen_addresses") == "*"
    assert query(host, "show ssl") == "on"
    assert query(host, "show password_encryption") == "scram-sha-256"
    assert "tcp dport 5432 accept" in host.check_output("nft list chain inet filter role")


def test_its_own_key_was_made_by_this_machine(host):
    key = host.file("/etc/ssl/private/ssl-cert-snakeoil.key")
    assert key.exists
    booted = float(host.check_output("cat /proc/stat | awk '/^btime/ {print $2}'"))
    assert key.mtime.timestamp() >= booted - 60
