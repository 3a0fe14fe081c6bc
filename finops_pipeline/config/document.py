"""``finops.yaml`` as a document: its values, its duplicate keys, and the line on which each value stands.

What the values mean is the model's business. Scalars are those of YAML 1.2's core schema, so that ``no`` is a team's
name, ``06:30`` a time and ``0100`` a cost centre; dates and decimal fractions stay text, which the model reads exactly.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from finops_pipeline.errors import ConfigError

Location = Sequence[int | str]
"""The steps from the top of the document to a value: keys of mappings, places in lists."""


class _CoreLoader(yaml.SafeLoader):
    """Knows null, true, false, whole numbers and text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 # PyYAML copies it on the first change


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("merge", r"<<", ["<"]),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


class Document:
    """A YAML document.

    Raises:
        ConfigError: it is no YAML, with the line; the text itself is never quoted, since it may hold a secret.
    """

    def __init__(self, content: bytes) -> None:
        try:
            loader = _CoreLoader(content)
            self._root = loader.get_single_node()
            self.duplicates = list(_duplicates(self._root, set())) if self._root else []
            self.value: object = loader.construct_document(self._root) if self._root else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
            raise ConfigError(f"no valid YAML: {_problem(error)}{place}") from None
        except yaml.YAMLError:
            raise ConfigError("no valid YAML: expected text in UTF-8 without control characters") from None
        except (ValueError, RecursionError):
            raise ConfigError("no valid YAML: a value does not fit its tag, or is nested too deeply") from None

    def line(self, location: Location) -> int | None:
        """The line, from 1, on which the value stands, or the innermost thing around it that does."""
        node, found = self._root, None
        for step in location:
            if isinstance(node, yaml.MappingNode):
                entry = next(((k, v) for k, v in node.value if k.value == str(step)), None)
                if entry is None:
                    break
                found, node = entry[0].start_mark.line + 1, entry[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                found = node.start_mark.line + 1
            else:
                break
        return found


def _problem(error: yaml.MarkedYAMLError) -> str:
    if isinstance(error, yaml.composer.ComposerError):
        return "text that starts with * or & must stand in quotes"
    if isinstance(error, yaml.constructor.ConstructorError):
        return "text that starts with ! must stand in quotes, and keys are plain text"
    problem = error.problem or "it cannot be read"
    if "\\t" in problem:
        return "indent with spaces, not with tabs"
    if "mapping values are not allowed here" in problem:
        return "text that contains a colon and a space must stand in quotes, and keys of one mapping in one column"
    return problem


def _duplicates(
    node: yaml.Node, seen: set[int], location: tuple[int | str, ...] = ()
) -> Iterator[tuple[Location, int, int]]:
    """Each key that stands twice in one mapping: where, the line of its first place and of its second."""
    if id(node) in seen:  # an alias: told where its anchor stands
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name in first:
                yield (*location, name), first[name], line
            elif name:
                first[name] = line
            yield from _duplicates(value, seen, (*location, name))
    elif isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield from _duplicates(item, seen, (*location, place))
