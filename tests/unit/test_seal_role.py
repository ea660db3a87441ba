"""The Ansible role `seal` of the example, for clouds where nobody can open the disk, knows what the table knows."""

from pathlib import Path

import pytest
import yaml

from core.model.seal_items import ITEMS, Item

ROLE = Path(__file__).parents[2] / "examples/shop/ansible/roles/seal"
ELSEWHERE = {"named-paths": "seal_remove", "build-users": "seal_users"}
LEFT = {"build-keys", "swap"}
"""A key stands among others, and a swap file in /etc/fstab: taking these out is up to the playbook."""


@pytest.mark.parametrize("item", [item for item in ITEMS if item.id not in LEFT], ids=lambda item: item.id)
def test_the_role_takes_out_each_item_that_sealing_does(item: Item) -> None:
    paths = yaml.safe_load((ROLE / "vars/main.yml").read_text())["seal_paths"]
    tasks = (ROLE / "tasks/main.yml").read_text()
    if item.id in paths:
        assert set(item.deletes) <= set(paths[item.id])
    else:
        assert (ELSEWHERE.get(item.id) or f"'{item.id}' not in seal_keep") in tasks
