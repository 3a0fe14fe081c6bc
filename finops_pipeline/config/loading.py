"""``finops.yaml`` to a :class:`Config`, or one error that names every mistake with its place and what was expected.

Values that could be secrets are never repeated. What the keys mean stands in the model.
"""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from finops_pipeline.config.document import Document, Location
from finops_pipeline.config.model import Config
from finops_pipeline.config.section import Section
from finops_pipeline.errors import ConfigError

DEFAULT_PATH = Path("finops.yaml")
PATH_VARIABLE = "FINOPS_CONFIG"


def load_config(path: Path | None = None) -> Config:
    """The config in ``path``, else in the file that ``FINOPS_CONFIG`` names, else in ``./finops.yaml``.

    Relative paths in it resolve against its folder.

    Raises:
        ConfigError: there is no such file, or it has mistakes: all of them, each with its path in the file.
    """
    path, origin = _chosen(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"{path}{origin}: there is no such file. `finops init` writes a commented example; "
            f"a config elsewhere is named with --config or {PATH_VARIABLE}."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}{origin}: cannot be read ({error.strerror or error}).") from error
    return _parse(content, path).located(path.parent)


def _chosen(path: Path | None) -> tuple[Path, str]:
    if path is not None:
        return path.expanduser(), ""
    if named := os.environ.get(PATH_VARIABLE):
        return Path(named).expanduser(), f" (from {PATH_VARIABLE})"
    return DEFAULT_PATH, f" in {Path.cwd()}"


def _parse(content: bytes, path: Path) -> Config:
    try:
        document = Document(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if document.value is None:
        raise ConfigError(f"{path}: the file is empty. `finops init` writes a commented example.")
    if not isinstance(document.value, dict):
        kind = "a list" if isinstance(document.value, list) else "a single value"
        raise ConfigError(f"{path}: expected keys such as `lake:` and `sources:`, got {kind}.")
    mistakes = [
        (second, f"{_path(location)}: this key stands twice (lines {first} and {second})")
        for location, first, second in document.duplicates
    ]
    try:
        config = Config.model_validate(document.value)
    except ValidationError as error:
        mistakes += [_mistake(detail, document) for detail in error.errors(include_url=False)]
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise ConfigError("\n  ".join([f"{path}: {count}", *(text for _, text in sorted(mistakes))]))
    return config


# -- one mistake, in words --------------------------------------------------------------------------------------------


def _mistake(error: ErrorDetails, document: Document) -> tuple[int, str]:
    """The line of a mistake (0 where it has none) and what there is to say."""
    location: Location = error["loc"]
    about_key = bool(location) and location[-1] == "[key]"
    location = location[:-1] if about_key else location
    line = document.line(location)
    place = f" (line {line})" if line is not None else ""
    return line or 0, f"{_path(location)}: {_said(error, location, about_key=about_key)}{place}"


def _path(location: Location) -> str:
    """``sources[0].format``"""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in location]
    return "".join(steps).removeprefix(".")


def _said(error: ErrorDetails, location: Location, *, about_key: bool) -> str:
    ctx = error.get("ctx", {})
    kind = error["type"]
    if kind == "missing":
        return f"this key is missing. {_description(location)}"
    if kind == "extra_forbidden" and location[-1] in _FROM_THE_ENVIRONMENT:
        return f"unknown key: it comes from the environment, as {_FROM_THE_ENVIRONMENT[location[-1]]}"
    if kind == "extra_forbidden":
        return f"unknown key{_suggestion(str(location[-1]), _keys(location[:-1]), elsewhere=True)}"
    if kind == "literal_error" and about_key:
        return f"unknown key{_suggestion(str(location[-1]), _literals(ctx), elsewhere=False)}"
    if about_key:
        return "expected a name as text: put it in quotes"
    expected = _EXPECTED.get(kind, error["msg"]).format(**ctx)
    if kind == "literal_error":
        expected = f"expected one of {', '.join(_literals(ctx))}"
    value = error["input"]
    quotes = " (put it in quotes)" if kind == "string_type" and isinstance(value, int) else ""
    # What is wrong within keys and values, or a list, is said already.
    got = "" if kind == "value_error" and isinstance(value, dict | list) else _got(value, location)
    return f"{expected}{got}{quotes}"


_FROM_THE_ENVIRONMENT: Mapping[int | str, str] = {"password": "FINOPS_SMTP_PASSWORD", "passwd": "FINOPS_SMTP_PASSWORD"}
"""Keys that one might look for, and the variables in which their secrets stand instead."""

_EXPECTED: Mapping[str, str] = {
    "value_error": "{error}",
    "string_type": "expected text",
    "string_too_short": "expected some text",
    "bool_type": "expected true or false",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than_equal": "expected at most {le}",
    "list_type": "expected a list",
    "dict_type": "expected keys with values",
    "model_type": "expected keys with values",
    "too_short": "expected at least one entry",
    "is_instance_of": "expected a path",
    "path_type": "expected a path",
}


def _literals(ctx: Mapping[str, Any]) -> list[str]:
    return re.findall(r"'([^']*)'", str(ctx.get("expected", "")))


def _got(value: object, location: Location) -> str:
    if value in ({}, [], "", None):
        return "; got nothing"
    if isinstance(value, dict | list):
        return f"; got {'a list' if isinstance(value, list) else 'keys with values'}"
    if isinstance(value, str):
        return "" if _may_be_secret(value, location) else f"; got {value[:40]!r}"
    return f"; got {str(value).lower() if isinstance(value, bool) else value}"


def _may_be_secret(value: str, location: Location) -> bool:
    """Whether a text looks like a credential, or stands where one might."""
    named = any(re.search(r"secret|passw|token|credential|key", str(step), re.IGNORECASE) for step in location)
    in_address = "@" in value and ":" in value.rpartition("@")[0]  # as in smtp://user:password@host, with scheme or not
    random = re.search(r"(?=[A-Za-z0-9+/_-]*[0-9])(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_-]{20,}", value)
    return named or in_address or random is not None


def _suggestion(key: str, known: list[str], *, elsewhere: bool) -> str:
    if close := get_close_matches(key, known, n=1, cutoff=0.7):
        return f"; did you mean {close[0]}?"
    homes = [
        f"{name}.{key}" for name, field in Config.model_fields.items() if key in _names(_section(field.annotation))
    ]
    if elsewhere and homes:
        return f"; did you mean {' or '.join(homes)}?"
    return f"; expected one of {', '.join(known)}"


# -- what the model says of a place -----------------------------------------------------------------------------------


def _section(annotation: Any) -> type[Section] | None:
    """The section that a field holds: itself, or in a list, a mapping or an option."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((s for part in get_args(annotation) if (s := _section(part)) is not None), None)


def _names(section: type[Section] | None) -> dict[str, Any]:
    return {field.alias or name: field for name, field in section.model_fields.items()} if section else {}


def _section_at(location: Location) -> type[Section] | None:
    section: type[Section] | None = Config
    for step in location:
        fields = _names(section)
        if step in fields:
            section = _section(fields[str(step)].annotation)
    return section


def _keys(location: Location) -> list[str]:
    return list(_names(_section_at(location)))


def _description(location: Location) -> str:
    fields = _names(_section_at(location[:-1]))
    return str(fields[str(location[-1])].description)
