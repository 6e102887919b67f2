"""The JSON Schema of the configuration's file, made from the structs: for editors that complete and check YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from agent.config import Config
from agent.forms import Setting, settings

PLAIN: dict[object, str] = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}


def config_schema() -> dict[str, Any]:
    """Looser than `tocsin check`: a quantity is any text here, and a driver's options are not looked at."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "tocsin:config",
        "title": "tocsin.yaml",
        **_section(Config),
    }


def _section(shape: type[msgspec.Struct]) -> dict[str, Any]:
    known = [setting for setting in settings(shape) if setting.about.role in ("", "switch")]
    section: dict[str, Any] = {
        "type": ["object", "null"],
        "properties": {setting.key: _setting(setting) for setting in known},
        "additionalProperties": any(setting.about.role == "rest" for setting in settings(shape)),
    }
    required = [setting.key for setting in known if setting.required]
    if required:
        section["required"] = required
    return section


def _setting(setting: Setting) -> dict[str, Any]:
    base, form, about = setting.base, setting.form, setting.about
    if get_origin(base) is dict:
        shape = get_args(base)[1]
        found: dict[str, Any] = {"type": ["object", "null"], "additionalProperties": _section(shape)}
    elif get_origin(base) is tuple:
        found = {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1}
    elif get_origin(base) is Literal:
        found = {"enum": list(get_args(base))}
    elif form is None and isinstance(base, type) and issubclass(base, msgspec.Struct):
        found = _section(base)
        if about.role == "switch":
            found["type"] = [*found["type"], "boolean"]
            if hasattr(base, "off"):
                found = {"anyOf": [found, {"const": "none"}]}
    elif form is not None:
        found = {"type": ["string", "number"], "examples": [form.form]}
    else:
        found = {"type": PLAIN[base]}
        found |= {
            key: bound
            for key, bound in (("minimum", about.least), ("maximum", about.most))
            if bound is not None
        }
        if base in (str, Path):
            found["type"] = ["string", "number", "boolean"]  # YAML reads 0042 and on as those
    return {"description": about.text, **found} if about.text else found
