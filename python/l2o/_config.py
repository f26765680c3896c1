"""Configurations as TOML text, from text or from a mapping."""

from __future__ import annotations

import json
import numbers
import re
from collections.abc import Mapping, Sequence
from typing import Any, Union

from ._arguments import is_bool, text

Config = Union[str, Mapping[str, Any], None]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml(config: Config) -> bytes:
    """Bytes for the library: `config` is TOML text, a mapping (whose tables are mappings) or None."""
    if config is None:
        return b""
    return text(config if isinstance(config, str) else _table(config, ""), "the configuration")


def _table(config: object, path: str) -> str:
    if not isinstance(config, Mapping):
        raise TypeError(f"a configuration is a {type(config).__name__}; expected TOML text or a mapping")
    lines, tables = [], []
    for key, value in config.items():
        if not isinstance(key, str):
            raise TypeError(f"key {key!r} of a configuration is a {type(key).__name__}; expected a str")
        name = key if _BARE_KEY.fullmatch(key) else _string(key)
        if isinstance(value, Mapping):
            tables.append(f"[{path}{name}]\n{_table(value, f'{path}{name}.')}")
        else:
            lines.append(f"{name} = {_value(value, key)}\n")
    return "".join(lines + tables)


def _string(value: str) -> str:
    """TOML uses the same escapes as JSON, where one control character may stand for itself."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object, key: str) -> str:
    if is_bool(value):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, numbers.Integral):
        number = int(value)
        if not -(2**63) <= number < 2**63:
            raise ValueError(f"key {key} is {number}; expected a 64-bit integer, as in TOML")
        return str(number)
    if isinstance(value, numbers.Real):
        return repr(float(value))
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return "[" + ", ".join(_value(item, key) for item in value) + "]"
    raise TypeError(f"key {key} is a {type(value).__name__}, which TOML cannot represent")
