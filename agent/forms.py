"""Values as people write them, turned into frozen structs; every mistake is kept, none is thrown.

A setting is a field of a struct: its type says its form, its `About` says what it means. The walk below and
the reference in docs/ both read these, so nothing about a setting is written twice.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar, Union, cast, get_args, get_origin

import msgspec

from agent.yaml_lines import Located, Mistake, quoted, step

S = TypeVar("S", bound=msgspec.Struct)
_SUFFIXES = ("_per_hour", "_bytes", "_cores", "_cel", "_deg", "_hz", "_m", "_s", "_w")


class Form(Protocol):
    """How a value is written: `parse` raises ValueError saying what is wrong and what to write instead."""

    @property
    def form(self) -> str: ...
    def parse(self, value: object) -> object: ...
    def show(self, value: Any) -> str: ...


@dataclass(frozen=True, slots=True)
class About:
    """What a setting means, and the limits of its value.

    `role`: "name" is filled with the entry's key, "rest" gathers the keys that are not settings of ours, and
    a "switch" is a mapping that may also be written true or false (`none`).
    """

    text: str
    default: str = ""  # said in the reference where the default is found only when running
    least: float | None = None
    most: float | None = None
    role: Literal["", "name", "rest", "switch"] = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a struct, taken apart."""

    field: str  # its name in Python, with the unit: silent_after_s
    key: str  # its name in YAML: silent_after
    base: Any  # the type without Annotated and None
    form: Form | None
    about: About
    required: bool
    default: object


def yaml_key(field: str) -> str:
    """A field's key in YAML: without the unit, which is written with the value there."""
    return next((field[: -len(end)] for end in _SUFFIXES if field.endswith(end)), field)


class Frozen(msgspec.Struct, frozen=True, kw_only=True, rename=yaml_key):
    """A section of the configuration. Quantities are in SI units."""


@cache
def settings(shape: type[msgspec.Struct]) -> tuple[Setting, ...]:
    """The fields of a struct, in the order of their definition."""
    return tuple(_setting(field) for field in msgspec.structs.fields(shape))


def _setting(field: msgspec.structs.FieldInfo) -> Setting:
    base, marks = _unwrapped(field.type)
    about = next((mark for mark in marks if isinstance(mark, About)), About(""))
    form = next((mark for mark in marks if hasattr(mark, "parse")), None)
    default = field.default
    if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        default = cast(Any, field.default_factory)()
    return Setting(field.name, field.encode_name, base, form, about, field.required, default)


def _unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    """A type without `| None` and Annotated, and what Annotated said."""
    marks: list[Any] = []
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            marks += more
        elif get_origin(annotation) in (Union, types.UnionType):
            (annotation,) = (part for part in get_args(annotation) if part is not type(None))
        else:
            return annotation, marks


def nearest(word: str, known: Iterable[str]) -> str:
    """ ": did you mean ...?", or nothing where no known word is near."""
    import difflib

    near = difflib.get_close_matches(word.lower(), {name.lower(): name for name in known}, n=1, cutoff=0.6)
    found = next((name for name in known if near and name.lower() == near[0]), "")
    return f": did you mean {found}?" if found else ""


class Walk:
    """One walk over a document: `folders` says where the relative paths in each file start."""

    def __init__(self, mistakes: list[Mistake], folders: Mapping[str, Path]) -> None:
        self.mistakes = mistakes
        self._folders = folders

    def struct(self, shape: type[S], node: Located, path: str = "", name: str = "") -> S | None:
        """The struct; a wrong setting keeps its default. None where a required one is missing or wrong."""
        if not isinstance(node.value, dict) and node.value is not None:
            keys = ", ".join(setting.key for setting in settings(shape) if not setting.about.role)
            self._wrong(
                node, path, f"{quoted(node.value)} is not a mapping: write its keys below it ({keys})"
            )
            return None
        before = len(self.mistakes)
        given: dict[str, object] = {}
        whole = True
        for setting in settings(shape):
            if setting.about.role == "name":
                given[setting.field] = name
            elif setting.about.role == "rest":
                ours = {known.key for known in settings(shape)}
                given[setting.field] = {key: entry.plain() for key, entry in node.items() if key not in ours}
            else:
                entry = node.get(setting.key)
                here = f"{path}.{setting.key}" if path else setting.key
                if entry is not None and entry.value is not None:
                    if (value := self._value(setting, entry, here)) is not None:
                        given[setting.field] = value
                elif setting.required:
                    self._wrong(node, here, f"is missing: {_wanted(setting)}")
                whole = whole and not (setting.required and setting.field not in given)
        self._unknown(shape, node, path)
        self.mistakes[before:] = sorted(self.mistakes[before:], key=lambda mistake: mistake.line)
        return shape(**given) if whole else None

    def _unknown(self, shape: type[msgspec.Struct], node: Located, path: str) -> None:
        known = settings(shape)
        if any(setting.about.role == "rest" for setting in known):
            return
        refused: Mapping[str, str] = getattr(shape, "refused", {})
        keys = [setting.key for setting in known if setting.about.role in ("", "switch")]
        for key, entry in node.items():
            if key in keys:
                continue
            here = f"{path}.{step(key)}" if path else step(key)
            if key in refused:
                self._wrong(entry, here, refused[key])
                continue
            inside = [s.key for s in known if _is_struct(s.base) and key in {t.key for t in settings(s.base)}]
            hint = f": it belongs under {inside[0]}" if inside else nearest(key, keys)
            self._wrong(entry, here, f"is not a setting{hint or ': known here are ' + ', '.join(keys)}")

    def _value(self, setting: Setting, node: Located, path: str) -> object | None:
        """The value, or None where it is wrong."""
        if _is_struct(setting.base) and setting.form is None:
            if setting.about.role == "switch" and (isinstance(node.value, bool) or node.text == "none"):
                off = getattr(
                    setting.base, "off", None
                )  # what false stands for, where that is not the default
                if node.value is True:
                    return cast(object, setting.base())
                return None if off is None else cast(object, setting.base(**off))
            return self.struct(setting.base, node, path)
        if get_origin(setting.base) is dict:
            return self._entries(setting, node, path)
        if get_origin(setting.base) is tuple:
            return self._texts(node, path)
        try:
            if setting.form is None:
                value = self._scalar(setting.base, node)
            elif setting.base is str and isinstance(node.value, (dict, list)):
                raise ValueError(f"is not text: write e.g. {setting.form.form}")
            else:
                value = setting.form.parse(node.text if setting.base is str else node.value)
            return _within(setting, value)
        except ValueError as error:
            self._wrong(node, path, f"{quoted(_said(setting, node))} {error}")
            return None

    def _entries(self, setting: Setting, node: Located, path: str) -> dict[str, object]:
        """The entries of a section by their names, which have a form too."""
        if not isinstance(node.value, dict):
            self._wrong(node, path, f"{quoted(node.value)} is not a mapping: write a name, then its settings")
            return {}
        key_type, shape = get_args(setting.base)
        form = next(iter(_unwrapped(key_type)[1]))
        entries: dict[str, object] = {}
        for name, entry in node.items():
            here = f"{path}.{step(name)}"
            try:
                form.parse(name)
            except ValueError as error:
                self._wrong(entry, here, f"{quoted(name)} {error}")
            if (built := self.struct(shape, entry, here, name)) is not None:
                entries[name] = built
        return entries

    def _texts(self, node: Located, path: str) -> tuple[str, ...] | None:
        if not isinstance(node.value, list):
            self._wrong(node, path, f"{quoted(node.value)} is not a list: write [{node.text or '...'}]")
            return None
        found: list[str] = []
        for index, entry in enumerate(node.value):
            if isinstance(entry.value, (dict, list)) or not entry.text:
                self._wrong(entry, f"{path}[{index}]", f"{quoted(entry.value)} is not a name")
            elif entry.text in found:
                self._wrong(entry, f"{path}[{index}]", f"{quoted(entry.text)} is here twice")
            else:
                found.append(entry.text)
        if not node.value:
            self._wrong(node, path, "is empty: leave it out to take all of them")
        return tuple(found)

    def _scalar(self, base: Any, node: Located) -> object:
        value = node.value
        if isinstance(value, (dict, list)):
            raise ValueError(f"is not {_noun(base)}")
        if get_origin(base) is Literal:
            if node.text not in get_args(base):
                known = ", ".join(get_args(base))
                raise ValueError(f"is not one of {known}{nearest(node.text, get_args(base))}")
            return node.text
        if base is str:
            return node.text  # as written: `on`, 0042 and 1e3 are names too
        if base is Path:
            if not node.text or "\0" in node.text:
                raise ValueError("is not the name of a file")
            return self.path(node)
        if base is bool and isinstance(value, bool):
            return value
        if base is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if base is float:
            return _number(value)
        quotes = base in (int, bool) and isinstance(value, str) and value.strip().isdecimal()
        raise ValueError(f"is not {_noun(base)}{': take away the quotes' if quotes else ''}")

    def path(self, node: Located) -> Path:
        """A path, made absolute: a relative one starts at the folder of the file that it is written in."""
        return Path(self._folders.get(node.file, Path()), node.text).absolute()

    def _wrong(self, node: Located, path: str, message: str) -> None:
        self.mistakes.append(Mistake(node.file, node.line, path, message))


def _is_struct(base: Any) -> bool:
    return isinstance(base, type) and issubclass(base, msgspec.Struct)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("is not a number")
    try:
        number = float(value)  # text too: YAML 1.1 reads 1e3 as text
    except (ValueError, OverflowError):
        raise ValueError("is not a number") from None
    if number - number != 0:
        raise ValueError("is not a finite number")
    return number


def _within(setting: Setting, value: object) -> object:
    """`value`, unless it is beyond the limits; these are said in the form the setting is written in."""
    about = setting.about
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return value
    show = setting.form.show if setting.form else lambda limit: f"{limit:g}"
    if about.least is not None and value < about.least:
        raise ValueError(f"is too small: at least {show(about.least)}")
    if about.most is not None and value > about.most:
        raise ValueError(f"is too large: at most {show(about.most)}")
    return value


def _wanted(setting: Setting) -> str:
    text = setting.about.text.replace("`", "").rstrip(".")
    return text[:1].lower() + text[1:]


def _said(setting: Setting, node: Located) -> object:
    text = setting.base in (str, Path) or get_origin(setting.base) is Literal
    return node.text if text and not isinstance(node.value, (dict, list)) else node.value


def _noun(base: Any) -> str:
    if get_origin(base) is Literal:
        return "one of " + ", ".join(get_args(base))
    nouns = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        Path: "a file's name",
    }
    return nouns.get(base, "understood")
