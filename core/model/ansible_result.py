"""The result that ansible-playbook prints for a failed task: after `fatal: [host]: FAILED! =>`."""

import json
import re
from collections.abc import Sequence
from typing import cast


def ansible_result(lines: Sequence[str]) -> dict[str, object]:
    """The result of a failed task, printed as JSON or, as ANSIBLE_CALLBACK_RESULT_FORMAT may say, YAML."""
    text = "\n".join(lines).strip()
    if text.startswith("{"):
        try:
            # raw_decode: a diff or a warning may follow.
            found: object = json.JSONDecoder(strict=False).raw_decode(text)[0]
            return cast(dict[str, object], found) if isinstance(found, dict) else {}
        except (ValueError, RecursionError):  # cut off, or not JSON after all
            return _picked(text)
    return _yaml_result(lines) or {"msg": text}


def _picked(text: str) -> dict[str, object]:
    """Single values out of JSON that is not whole."""
    result: dict[str, object] = {}
    for key in ("msg", "stderr", "stdout", "module_stderr", "cmd"):
        if found := re.search(rf'"{key}": "((?:[^"\\]|\\.)*)', text):
            value = found[1].rstrip("\\")
            try:
                result[key] = json.loads(f'"{value}"', strict=False)
            except ValueError:
                result[key] = value
    if found := re.search(r'"rc": (-?\d+)', text):
        result["rc"] = int(found[1])
    return result


def _yaml_result(lines: Sequence[str]) -> dict[str, object]:
    """The top level of the YAML that Ansible prints: scalars (folded, quoted, block) and lists of them."""
    keyed = [line for line in lines if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in keyed), default=0)
    result: dict[str, object] = {}
    key, parts = "", list[str]()
    for line in [*keyed, f"{' ' * indent}end: "]:
        found = re.match(r"([A-Za-z_]\w*):(?: (.*))?$", line[indent:])
        if found is None or line[indent : indent + 1] in " -":
            parts.append(line[indent:])
            continue
        if key:
            result[key] = _yaml_value(parts)
        key, parts = found[1], [found[2] or ""]
    return result


def _yaml_value(parts: Sequence[str]) -> object:
    first, rest = parts[0], list(parts[1:])
    if first.startswith(("|", ">")):
        return "\n".join(part.strip() for part in rest)
    if not first and rest and rest[0].startswith("- "):
        items: list[str] = []
        for part in rest:
            if part.startswith("- "):
                items.append("" if part[2:].startswith(("|", ">")) else part[2:].strip("'\""))
            elif items:
                items[-1] = f"{items[-1]}\n{part.strip()}".strip()
        return items
    whole = " ".join([first, *(part.strip() for part in rest)]).strip()
    if len(whole) > 1 and whole[0] == whole[-1] == "'":
        return whole[1:-1].replace("''", "'")
    if len(whole) > 1 and whole[0] == whole[-1] == '"':
        try:
            return cast(object, json.loads(whole, strict=False))
        except ValueError:
            return whole[1:-1]
    return int(whole) if re.fullmatch(r"-?\d+", whole) else whole


def text_of(result: dict[str, object], *keys: str) -> str:
    """The first of these keys that holds text."""
    for key in keys:
        value = result.get(key)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, list):
            return "\n".join(map(str, cast(list[object], value)))
    return ""
