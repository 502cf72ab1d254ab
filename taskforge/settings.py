"""All settings, composed from one read of the environment and `.env`.

Each package declares the frozen Struct it needs; the variable of a field is `TASKFORGE_` and its path in upper case,
parts joined by two underscores: `settings.http.port` is `TASKFORGE_HTTP__PORT`. An empty value counts as not given.
A secret may come as a file: `TASKFORGE_KEYS_FILE` is the path of what would otherwise be in `TASKFORGE_KEYS`.
"""

import difflib
import math
import textwrap
import typing
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, structs

from api.issuer_settings import Issuers
from core.secret import Secret
from taskforge.contradictions import contradictions
from taskforge.dotenv import parse_env
from taskforge.secret_files import overlaid, read_files, without_files
from taskforge.settings_struct import Keys, Settings

__all__ = [
    "PREFIX",
    "Settings",
    "SettingsError",
    "Variable",
    "adopt",
    "default_text",
    "example",
    "load",
    "read_variables",
    "secret_names",
    "variables",
]

PREFIX = "TASKFORGE_"

REPLACED: Final = {
    "TASKFORGE_AUTH__SECRET": 'the one secret became a list of keys: TASKFORGE_KEYS=["the secret"]',
}
"""Settings of earlier versions, and what to set instead."""


class SettingsError(Exception):
    """Every mistake found, one line each, each naming its variable; no line holds a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Variable(Struct, frozen=True):
    """One environment variable: `path` of the field it sets, its `type` and `doc`; `default` is UNSET when required."""

    name: str
    path: tuple[str, ...]
    type: Any
    doc: str
    default: Any

    @property
    def secret(self) -> bool:
        return self.type in (Secret, Keys, Issuers)


def variables(struct: type[Struct] = Settings, path: tuple[str, ...] = ()) -> Iterator[Variable]:
    """Every variable of the tree, plain fields before nested ones."""
    hints = typing.get_type_hints(struct, include_extras=True)
    nested: list[tuple[str, type[Struct]]] = []
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        if isinstance(hint, type) and issubclass(hint, Struct):
            nested.append((field.name, hint))
            continue
        kind, doc = _unannotate(hint)
        where = (*path, field.name)
        default = UNSET if field.default is msgspec.NODEFAULT else field.default
        name = PREFIX + "__".join(part.rstrip("_") for part in where).upper()  # `from_` is FROM: a word of Python's.
        yield Variable(name, where, kind if kind in (Secret, Keys, Issuers) else hint, doc, default)
    for name, inner in nested:
        yield from variables(inner, (*path, name))


def _unannotate(hint: Any) -> tuple[Any, str]:
    if typing.get_origin(hint) is not Annotated:
        return hint, ""
    kind, *marks = typing.get_args(hint)
    return kind, next((mark.description for mark in marks if isinstance(mark, Meta) and mark.description), "")


def read_variables(environ: Mapping[str, str], env_file: Path | None) -> tuple[dict[str, str], list[str]]:
    """Ours among the variables of the file and the environment, the environment winning; and what cannot be read.

    Secrets that were given as files are read: they come out under their own names.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    if env_file is not None and env_file.is_file():
        try:
            values, problems = parse_env(env_file.read_text("utf-8"), env_file.name)
        except (OSError, UnicodeDecodeError) as error:
            problems = [f"{env_file.name}: cannot be read: {error}"]
    names = secret_names()
    merged = overlaid(values, environ, names)
    ours = {name: value for name, value in merged.items() if name.upper().startswith(PREFIX) and value}
    read, unreadable = read_files(ours, names)
    return read, problems + unreadable


def secret_names() -> list[str]:
    """The variables that hold secrets."""
    return [variable.name for variable in variables() if variable.secret]


def adopt(environ: MutableMapping[str, str], given: Mapping[str, str]) -> None:
    """Make what `read_variables` found the environment of whatever this process starts or imports."""
    for name in environ.keys() - without_files(environ, secret_names()).keys():
        del environ[name]
    environ.update(given)


def load(environ: Mapping[str, str], env_file: Path | None = None, *, also: Collection[str] = ()) -> Settings:
    """Settings from `environ`, and from `env_file` where the environment is silent. What `also` names is required, too.

    Raises `SettingsError` for what cannot be read, else with all mistakes at once: unknown names (with the likely meant
    one), missing ones, values of the wrong type or out of range, values that contradict each other.
    """
    given, unreadable = read_variables(environ, env_file)
    if unreadable:
        raise SettingsError(unreadable)
    known = {variable.name: variable for variable in variables()}
    problems = [_unknown(name, known) for name in sorted(given.keys() - known.keys())]
    leaves: dict[tuple[str, ...], Any] = {}
    for variable in known.values():
        try:
            wanted = structs.replace(variable, default=UNSET) if variable.name in also else variable
            leaves[variable.path] = _parse(wanted, given.get(variable.name))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError(problems)
    settings: Settings = _build(Settings, (), leaves)
    if found := list(contradictions(settings)):
        raise SettingsError(found)
    return settings


def _unknown(name: str, known: Mapping[str, Variable]) -> str:
    if (instead := REPLACED.get(name)) is not None:
        return f"{name}: no such setting any more; {instead}"
    # Compared without the prefix they share, which would make everything look alike.
    ends = [candidate.removeprefix(PREFIX) for candidate in known]
    close = difflib.get_close_matches(name.upper().removeprefix(PREFIX), ends, n=1)
    return f"{name}: no such setting" + (f"; did you mean {PREFIX}{close[0]}?" if close else "")


def _parse(variable: Variable, text: str | None) -> Any:
    if text is None:
        if variable.default is UNSET:
            raise ValueError(f"{variable.name}: is missing ({variable.doc})")
        return variable.default
    if variable.type is Secret:
        return Secret(text)
    if variable.type == Keys:
        return _keys(variable, text)
    if variable.type == Issuers:
        return _issuers(variable, text)
    value = [part.strip() for part in text.split(",") if part.strip()] if _is_list(variable) else text.strip()
    try:
        parsed = msgspec.convert(value, variable.type, strict=False)
    except msgspec.ValidationError as error:
        expected = str(error).removeprefix("Expected ").split(", got ")[0].replace("`", "").removesuffix(" | null")
        if expected.startswith("Invalid enum value"):
            choices = typing.get_args(_unannotate(variable.type)[0])
            expected = "one of " + ", ".join(choices)
        raise ValueError(f"{variable.name}: expected {expected}, got {text!r}") from None
    if isinstance(parsed, float) and not math.isfinite(parsed):
        raise ValueError(f"{variable.name}: expected a finite number, got {text!r}")
    return parsed


def _keys(variable: Variable, text: str) -> Keys:
    try:
        return tuple(map(Secret, msgspec.json.decode(text, type=list[str])))
    except (msgspec.MsgspecError, UnicodeError):
        raise ValueError(f'{variable.name}: expected a JSON list of texts, as in ["first", "second"]') from None


def _issuers(variable: Variable, text: str) -> Issuers:
    """Says where the mistake is, and nothing of the value, which may hold secrets."""
    try:
        return msgspec.json.decode(text, type=Issuers, dec_hook=_hidden)
    except msgspec.ValidationError as error:
        raise ValueError(f"{variable.name}: {error}") from None
    except (msgspec.MsgspecError, UnicodeError):
        raise ValueError(f"{variable.name}: expected a JSON list of objects; see docs/sign-in.md") from None


def _hidden(kind: type, value: Any) -> Any:
    """The text of a JSON value that is a secret."""
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError("expected a text")


def _is_list(variable: Variable) -> bool:
    return typing.get_origin(_unannotate(variable.type)[0]) is tuple


def _build(struct: type[Any], path: tuple[str, ...], leaves: Mapping[tuple[str, ...], Any]) -> Any:
    hints = typing.get_type_hints(struct)
    parts = {}
    for field in msgspec.structs.fields(struct):
        where = (*path, field.name)
        parts[field.name] = leaves[where] if where in leaves else _build(hints[field.name], where, leaves)
    return struct(**parts)


def example() -> str:
    """The text of `.env.example`: every variable with its doc, default and limits, all commented out."""
    lines = [
        "# Every setting of TaskForge; generated by `taskforge settings --example`.",
        "# Copy to .env and uncomment what you change. The environment wins over this file.",
        "# What is called a secret may be given as a file instead: TASKFORGE_KEYS_FILE=/run/secrets/keys.",
        "# `taskforge up` sets the required ones itself, for the embedded services.",
    ]
    section: tuple[str, ...] | None = None
    for variable in variables():
        if variable.path[:-1] != section:
            section = variable.path[:-1]
            title = section[0] if section else "process"
            lines += ["", f"# --- {title}"]
        required = (" Required." if variable.default is UNSET else "") + (" A secret." if variable.secret else "")
        lines += textwrap.wrap(
            f"{variable.doc}{_limits(variable)}{required}", 110, initial_indent="# ", subsequent_indent="# "
        )
        lines.append(f"#{variable.name}={default_text(variable)}")
    return "\n".join(lines) + "\n"


def _limits(variable: Variable) -> str:
    kind, _ = _unannotate(variable.type)
    if typing.get_origin(kind) is Literal:
        return f" One of {', '.join(typing.get_args(kind))}."
    marks = typing.get_args(variable.type)[1:] if typing.get_origin(variable.type) is Annotated else ()
    bounds = {mark.ge: mark.le for mark in marks if isinstance(mark, Meta) and mark.ge is not None}
    return "".join(f" {low} to {high}." if high is not None else f" At least {low}." for low, high in bounds.items())


def default_text(variable: Variable) -> str:
    """The default as it would be written in a file; empty when there is none."""
    match variable.default:
        case bool():
            return str(variable.default).lower()
        case tuple():
            return ",".join(map(str, variable.default))
        case None | msgspec.UnsetType() | Secret():
            return ""
        case _:
            return str(variable.default)
