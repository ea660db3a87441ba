"""Clients of AWS's services."""

from collections import Counter
from importlib import import_module
from typing import Any

import pytest

from core.adapters.aws_client import client

SERVICE = "kms"  # asked by nobody else: nothing of it was read before


def test_a_service_s_description_is_read_once_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    reading: Any = import_module("botocore.loaders").JSONFileLoader
    read = Counter[str]()
    load = reading.load_file

    def counted(self: object, path: str) -> object:
        read[path] += 1
        return load(self, path)

    monkeypatch.setattr(reading, "load_file", counted)
    for person, region in (("ada", "eu-west-1"), ("ben", "us-east-1")):
        environment = {"AWS_ACCESS_KEY_ID": person, "AWS_SECRET_ACCESS_KEY": "secret"}
        made = client(region, environment, "http://127.0.0.1:1", SERVICE)
        assert made.meta.region_name == region
    assert any(f"/{SERVICE}/" in path for path in read)
    assert {path for path, times in read.items() if times > 1} == set()
