"""YAML in which every value knows its file and line, and a key written twice is a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import yaml

# A configuration is a few hundred values. The bound is against aliases of aliases of aliases, which grow
# a small file into millions of values.
MOST_VALUES = 50_000
MOST_DEEP = 40
MOST_EARLIER = 20  # of the values of one key that is written again and again
_PLAIN_TAGS = ("bool", "int", "float", "null", "str", "timestamp")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake of the user's, with its place. `path` is dotted: monitors.pump.window."""

    file: str
    line: int  # from 1; 0: the whole file
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return printable(": ".join(part for part in (place, self.path, self.message) if part))


@dataclass(frozen=True, slots=True)
class Located:
    """A value with its place.

    `value` is a dict of str to Located, a list of Located, or a scalar as YAML reads it; `text` is a scalar
    as it was written, so that a name like `on` or `0042` need not be quoted. None stands for "nothing given".
    `earlier` are the values that the same key had before, where it is written twice.
    """

    value: object
    file: str
    line: int
    text: str = ""
    earlier: tuple[Located, ...] = ()

    def items(self) -> Iterator[tuple[str, Located]]:
        """The entries of a mapping; nothing for anything else."""
        if isinstance(self.value, dict):
            yield from self.value.items()

    def get(self, key: str | int) -> Located | None:
        """The entry of a mapping or of a list; None where there is none."""
        if isinstance(self.value, dict):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            entry: Located = self.value[key]
            return entry
        return None

    def plain(self) -> object:
        """The value alone, as ordinary dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: entry.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [entry.plain() for entry in self.value]
        return self.value


def read(source: str | bytes, file: str, mistakes: list[Mistake]) -> Located | None:
    """The document in `source`; None where it is empty or not YAML. What is wrong is added to `mistakes`."""
    try:
        node = yaml.compose(source, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        said = " ".join(part for part in (error.context, error.problem) if part)
        mistakes.append(Mistake(file, line, f"column {column}", f"is not YAML: {said}"))
        return None
    except yaml.YAMLError as error:  # bytes that are no text, control characters
        mistakes.append(Mistake(file, 0, "", f"is not YAML: {' '.join(str(error).split())}"))
        return None
    except RecursionError:
        mistakes.append(Mistake(file, 0, "", "is not YAML: it is nested too deep"))
        return None
    except (ValueError, OverflowError):
        mistakes.append(Mistake(file, 0, "", 'is not YAML: an escape like "\\UFFFFFFFF" is no character'))
        return None
    return None if node is None else _Reader(file, mistakes).located(node, (), 0, node.start_mark.line + 1)


class _Reader:
    def __init__(self, file: str, mistakes: list[Mistake]) -> None:
        self._file = file
        self._mistakes = mistakes
        self._construct = yaml.constructor.SafeConstructor()
        self._left = MOST_VALUES

    def located(self, node: yaml.Node, path: tuple[str, ...], deep: int, line: int) -> Located:
        """The tree below `node`; `line` is that of its key, where it has one."""
        self._left -= 1
        if self._left < 0 or deep > MOST_DEEP:
            if self._left == -1 or deep == MOST_DEEP + 1:
                self._wrong(line, path, "is too big: does an alias (*) lead back to itself?")
                self._left = -2
            return Located(None, self._file, line)
        if isinstance(node, yaml.MappingNode):
            return Located(self._mapping(node, path, deep), self._file, line)
        if isinstance(node, yaml.SequenceNode):
            entries = [
                self.located(
                    entry,
                    (*path[:-1], f"{path[-1] if path else ''}[{index}]"),
                    deep + 1,
                    entry.start_mark.line + 1,
                )
                for index, entry in enumerate(node.value)
            ]
            return Located(entries, self._file, line)
        return Located(self._scalar(node, path), self._file, line, str(node.value))

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...], deep: int) -> dict[str, Located]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._wrong(line, path, "has a key that is not a name")
            elif key.value in first and key.tag != "tag:yaml.org,2002:merge":
                message = f"is here twice: it is on line {first[key.value]} already"
                self._wrong(line, (*path, step(key.value)), message)
            else:
                first[key.value] = line
        own = {id(key) for key, _ in node.value}  # what a merge key brings is overridden, not doubled
        try:
            self._construct.flatten_mapping(node)  # YAML's merge key, `<<: *other`
        except yaml.MarkedYAMLError as error:
            self._wrong(node.start_mark.line + 1, path, str(error.problem))
        entries: dict[str, Located] = {}
        doubled: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                name = key.value
                entry = self.located(value, (*path, name), deep + 1, key.start_mark.line + 1)
                if name in doubled:
                    entry = _again(entries[name], entry, sections=not path)
                if id(key) in own:
                    doubled.add(name)
                entries[name] = entry
        return entries

    def _scalar(self, node: yaml.Node, path: tuple[str, ...]) -> object:
        kind = node.tag.rpartition(":")[2]
        if kind not in _PLAIN_TAGS:
            self._wrong(node.start_mark.line + 1, path, f"has a tag that means nothing here: {node.tag}")
            return None
        try:
            value = self._construct.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):  # 2024-02-31, !!int "x"
            return str(node.value)
        plain = isinstance(value, (bool, int, float, str)) or value is None
        huge = isinstance(value, int) and abs(value) >= 2**63  # no setting's; Python may refuse to print it
        return value if plain and not huge else str(node.value)

    def _wrong(self, line: int, path: tuple[str, ...], message: str) -> None:
        self._mistakes.append(Mistake(self._file, line, ".".join(path), message))


def _again(before: Located, entry: Located, *, sections: bool) -> Located:
    """The later value of a key that is there twice; of a section written twice, the entries of both."""
    if sections and isinstance(before.value, dict) and isinstance(entry.value, dict):
        both = {**before.value, **entry.value}
        for name in before.value.keys() & entry.value.keys():
            both[name] = _again(before.value[name], entry.value[name], sections=False)
        return replace(entry, value=both)
    earlier = (*before.earlier, replace(before, earlier=()), *entry.earlier)
    return replace(entry, earlier=earlier[:MOST_EARLIER])


def alternatives(document: Located) -> Iterator[tuple[Located, set[tuple[str, int]]]]:
    """The document with each value that a later one hides in the later one's place, and the files and lines of it."""
    for name, entry in document.items():
        assert isinstance(document.value, dict)
        for hidden in entry.earlier:
            yield replace(document, value={**document.value, name: hidden}), set(_places(hidden))
        for other, places in alternatives(entry):
            yield replace(document, value={**document.value, name: other}), places


def _places(node: Located) -> Iterator[tuple[str, int]]:
    yield node.file, node.line
    for entry in node.value if isinstance(node.value, list) else [inner for _, inner in node.items()]:
        yield from _places(entry)


def merge(below: Located, above: Located, mistakes: list[Mistake], unique: tuple[str, ...]) -> Located:
    """`above` laid over `below`: mappings are merged, everything else is replaced.

    Under the keys `unique` two entries of one name are a mistake that names both places.
    """
    if not (isinstance(below.value, dict) and isinstance(above.value, dict)):
        return below if above.value is None else above
    merged = dict(below.value)
    for key, entry in above.value.items():
        before = merged.get(key)
        if before is None:
            merged[key] = entry
        elif key in unique:
            merged[key] = _joined(key, before, entry, mistakes)
        else:
            merged[key] = merge(before, entry, mistakes, ())
    return Located(merged, below.file, below.line)


def _joined(section: str, before: Located, entry: Located, mistakes: list[Mistake]) -> Located:
    for name, value in entry.items():
        earlier = before.get(name)
        if earlier is not None:
            message = f"is defined twice: here and in {earlier.file}:{earlier.line}"
            mistakes.append(Mistake(value.file, value.line, f"{section}.{step(name)}", message))
    both = isinstance(before.value, dict) and isinstance(entry.value, dict)
    return (
        replace(_again(before, entry, sections=True), line=before.line)
        if both
        else merge(before, entry, [], ())
    )


def step(key: str) -> str:
    """A key as it stands in a path: in quotes where one would not see where it ends."""
    plain = key and len(key) <= 60 and not any(c.isspace() or c in '.:"' for c in key)
    return key if plain else quoted(key)


def printable(text: str) -> str:
    """`text` on one line, with everything that a terminal would not show written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def flow(value: object) -> str:
    """A value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("...\n").strip()


def quoted(value: object) -> str:
    """A value in a message: text in quotes, the rest as YAML has it, cut where it is long."""
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f'"{text}"' if isinstance(value, str) else text
