"""Secrets given as files: `NAME_FILE` holds a path where `NAME` would hold the secret (Docker, Kubernetes, systemd)."""

from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["SUFFIX", "overlaid", "read_files", "without_files"]

SUFFIX = "_FILE"


def overlaid(below: Mapping[str, str], above: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Two sources merged: a secret that is set above, in either form, hides both forms of it below."""
    hidden = {alias for name in names for alias in _forms(name) if not above.keys().isdisjoint(_forms(name))}
    return {name: value for name, value in below.items() if name not in hidden} | dict(above)


def read_files(given: Mapping[str, str], names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The variables with each secret's file read in its place, and one line per secret for which that fails.

    Line ends at the end of a file are not part of the secret. No line holds a secret.
    """
    values, problems = dict(given), list[str]()
    for name in names:
        path = values.pop(name + SUFFIX, None)
        if path is None:
            continue
        if name in values:
            problems.append(f"{name} and {name}{SUFFIX}: give one of the two")
            continue
        try:
            values[name] = _secret_in(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(f"{name}{SUFFIX}: cannot read {path}: {reason}")
    return values, problems


def without_files(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The environment for a child that is handed the secrets themselves."""
    files = {name + SUFFIX for name in names}
    return {name: value for name, value in environ.items() if name not in files}


def _secret_in(path: str) -> str:
    try:
        text = Path(path).read_text("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error
    if not text:
        raise ValueError("it is empty")
    return text


def _forms(name: str) -> tuple[str, str]:
    return name, name + SUFFIX
