"""A YAML text as sections that know their lines. No meaning of policies.yaml lives here: see model.py.

Every reader method reports what is wrong with a line and goes on with the default, so that one run shows every problem.
The text is untrusted as far as size goes: length, depth and the number of nodes after aliases are bounded before
anything is built from them. Scalars are taken as written ("no", 18:00 stay text): YAML 1.1's guesses surprise people.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeVar

import yaml

from gateway.errors import PolicyError

#: A policy of 10,000 rules is about 2 MB; what is bigger was not written by people.
MAX_TEXT: Final = 4 * 1024 * 1024
#: PyYAML composes recursively; policies.yaml itself is 6 deep.
MAX_DEPTH: Final = 32
#: Counted with every alias expanded: ten lines of YAML can stand for a billion nodes.
MAX_NODES: Final = 500_000

_CORE = "tag:yaml.org,2002:"
#: What a plain scalar can be in YAML 1.1; anything else was asked for by a tag of the writer's.
_SCALARS = frozenset(_CORE + kind for kind in ("str", "int", "float", "bool", "timestamp", "merge", "value"))
_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES: Mapping[str, int] = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2}

#: libyaml reads 10,000 rules in under a second, the Python reader in ten.
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_T = TypeVar("_T")


class Problems:
    """What is wrong with one file, as `file:line: message` in the order of lines."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, message: str) -> None:
        if (line, message) not in self._found:
            self._found.append((line, message))

    def check(self) -> None:
        """Raise PolicyError if anything was found."""
        if self._found:
            raise PolicyError([f"{self._name}:{line}: {message}" for line, message in sorted(self._found)])


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?`, or the known names if none is near, or "" if there are none."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1) or get_close_matches(word.lower(), names, n=1)
    close = close or [name for name in names if len(word) > 2 and name.startswith(word)]
    if close:
        return f'; did you mean "{close[0]}"?'
    return f" (known: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''})" if names else ""


@dataclass(frozen=True, slots=True)
class Text:
    """One scalar and its line."""

    value: str
    line: int


class Section:
    """A YAML mapping: its keys are checked when it is opened; `title` names it in messages ("rule \\"x\\"")."""

    def __init__(self, node: yaml.Node, title: str, keys: Iterable[str], problems: Problems) -> None:
        self.title = title
        self.line = _line(node)
        self.problems = problems
        self._nodes: dict[str, yaml.Node] = {}
        self._key_lines: dict[str, int] = {}
        self._is_open = isinstance(node, yaml.MappingNode)  # if not, that is the one thing to report
        if isinstance(node, yaml.MappingNode):
            self._open(node, tuple(keys))
        else:
            problems.add(self.line, f"{title}: keys and values are wanted here, not {_kind(node)}")

    def _open(self, node: yaml.MappingNode, keys: tuple[str, ...]) -> None:
        for key_node, value in node.value:
            line = _line(key_node)
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            if not key:
                self.problems.add(line, f"{self.title}: a key must be a word")
            elif key in self._nodes:
                self.problems.add(
                    line, f'{self.title}: "{key}" stands here twice (first on line {self._key_lines[key]})'
                )
            else:
                if keys and key not in keys:
                    self.problems.add(line, f'{self.title}: unknown key "{key}"{nearest(key, keys)}')
                self._nodes[key] = value
                self._key_lines[key] = line

    def __contains__(self, key: str) -> bool:
        return key in self._nodes and not _is_null(self._nodes[key])

    def names(self) -> tuple[str, ...]:
        return tuple(self._nodes)

    def line_of(self, key: str) -> int:
        return self._key_lines.get(key, self.line)

    def wrong(self, key: str, message: str) -> None:
        """Report a problem at this key."""
        self.problems.add(self.line_of(key), f"{self.title}: {message}")

    def require(self, *keys: str) -> None:
        for key in keys if self._is_open else ():
            if key not in self:
                self.wrong(key, f'"{key}" is missing')

    def is_mapping(self, key: str) -> bool:
        return isinstance(self._nodes.get(key), yaml.MappingNode)

    def text(self, key: str, default: str = "") -> str:
        if key not in self:
            return default
        found = self._scalar(self._nodes[key], key)
        return default if found is None else found.value

    def maybe_text(self, key: str) -> str | None:
        return self.text(key) or None

    def parsed(self, key: str, parse: Callable[[str], _T], default: _T) -> _T:
        """Read a scalar through `parse`, which raises ValueError with what would be right."""
        if key not in self:
            return default
        found = self._scalar(self._nodes[key], key)
        return default if found is None else self.parse_at(found, key, parse, default)

    def parse_at(self, found: Text, key: str, parse: Callable[[str], _T], default: _T) -> _T:
        try:
            return parse(found.value)
        except ValueError as error:
            self.problems.add(found.line, f'{self.title}: {key} "{found.value}": {error}')
            return default

    def choice(self, key: str, choices: Iterable[str], default: str) -> str:
        return self.parsed(key, one_of(choices), default)

    def texts(self, key: str) -> tuple[Text, ...] | None:
        """Read a list of words (one word stands for a list of one); None when the key is absent."""
        if key not in self:
            return None
        node = self._nodes[key]
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not items:
            self.wrong(key, f"{key} is empty, so it can match nothing; leave it out to match anything")
        return tuple(found for found in (self._scalar(item, key) for item in items) if found is not None)

    def words(self, key: str) -> tuple[str, ...] | None:
        found = self.texts(key)
        return None if found is None else tuple(text.value for text in found)

    def section(self, key: str, title: str, keys: Iterable[str]) -> "Section | None":
        return Section(self._nodes[key], title, keys, self.problems) if key in self else None

    def sections(self, key: str, title: str, keys: Iterable[str]) -> list["Section"]:
        """Read a list of mappings; each is titled `title` with its number."""
        if key not in self:
            return []
        node = self._nodes[key]
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(key, f"{key} must be a list (lines that start with -)")
            return []
        named = tuple(keys)
        return [Section(item, f"{title} {n}", named, self.problems) for n, item in enumerate(node.value, 1)]

    def named_sections(self, key: str, title: str, keys: Iterable[str]) -> list[tuple[str, "Section"]]:
        """Read a mapping of name -> mapping; each is titled `title "name"`."""
        outer = self.section(key, key, ())
        named = tuple(keys)
        return [
            (name, Section(node, f'{title} "{name}"', named, self.problems))
            for name, node in (outer._nodes.items() if outer else ())
        ]

    def mixed(self, key: str, title: str, keys: Iterable[str]) -> "list[Text | Section]":
        """Read a list (or one item) of words and mappings."""
        if key not in self:
            return []
        node = self._nodes[key]
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: list[Text | Section] = []
        for item in items:
            read = (
                Section(item, title, keys, self.problems)
                if isinstance(item, yaml.MappingNode)
                else self._scalar(item, key)
            )
            if read is not None:
                found.append(read)
        return found

    def _scalar(self, node: yaml.Node, key: str) -> Text | None:
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return Text(node.value, _line(node))
        self.problems.add(_line(node), f"{self.title}: {key} must be a word or a number, not {_kind(node)}")
        return None


def open_document(text: str, name: str, title: str, keys: Iterable[str]) -> Section:
    """Read a YAML text. Raises PolicyError at once where nothing could be read: too big, too deep, bad syntax."""
    problems = Problems(name)
    if len(text) > MAX_TEXT:
        raise PolicyError([f"{name}:1: the file has {len(text)} characters; {MAX_TEXT} is the limit"])
    try:
        _bound_depth(text)
        node = yaml.compose(text, Loader=_LOADER)
        _bound_nodes(node)
    except _TooMuchError as error:
        raise PolicyError([f"{name}:{error.line}: {error}"]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PolicyError([f"{name}:{mark.line + 1 if mark else 1}: {error.problem or error.context}"]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise PolicyError([f"{name}:{line}: {error.reason} (character #x{error.character:04x})"]) from None
    if node is None:
        raise PolicyError([f"{name}:1: the file is empty"])
    return Section(node, title, keys, problems)


class _TooMuchError(Exception):
    """The text would grow into more than a policy can be."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _bound_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _TooMuchError(_line(event), f"nested deeper than {MAX_DEPTH}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _bound_nodes(top: yaml.Node | None) -> None:
    waiting: list[tuple[yaml.Node, int]] = [(top, 0)] if top else []
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_NODES:
            raise _TooMuchError(_line(node), f"with its aliases this is more than {MAX_NODES} values")
        if isinstance(node, yaml.MappingNode):
            waiting.extend((part, depth + 1) for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend((item, depth + 1) for item in node.value)


def _line(node: yaml.Node | yaml.Event) -> int:
    return node.start_mark.line + 1 if node.start_mark else 1


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == f"{_CORE}null")


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "keys and values"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "nothing" if _is_null(node) else "a single value"


def one_of(choices: Iterable[str]) -> Callable[[str], str]:
    """Return a parser that accepts exactly these words."""
    known = tuple(choices)

    def parse(word: str) -> str:
        if word not in known:
            raise ValueError(f"unknown{nearest(word, known)}")
        return word

    return parse


def duration(word: str) -> float:
    """Read "30s", "10m", "1h", "1h30m" as seconds. Raises ValueError."""
    parts = re.findall(r"(\d+)(ms|s|m|h|d)", word)
    if not parts or "".join(number + unit for number, unit in parts) != word:
        raise ValueError("a duration looks like 30s, 10m or 1h")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < seconds <= 30 * 86400:
        raise ValueError("a duration is more than nothing and at most 30d")
    return seconds


def size(word: str) -> int:
    """Read "16MiB" or "65536" as bytes. Raises ValueError."""
    parts = re.fullmatch(r"(\d{1,12}) ?([A-Za-z]*)", word)
    if not parts or (parts[2] or "B") not in _SIZES or not int(parts[1]):
        raise ValueError("a size looks like 16MiB, 512KiB or 65536")
    return int(parts[1]) * _SIZES[parts[2] or "B"]


def whole(low: int, high: int = 10**9) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high`."""

    def parse(word: str) -> int:
        if not re.fullmatch(r"\d{1,10}", word) or not low <= int(word) <= high:
            raise ValueError(f"a whole number from {low} to {high} is wanted")
        return int(word)

    return parse


def flag(word: str) -> bool:
    """Read true or false. Raises ValueError."""
    if word.lower() not in ("true", "false"):
        raise ValueError("true or false is wanted")
    return word.lower() == "true"
