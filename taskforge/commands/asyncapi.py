"""`taskforge asyncapi`: print the AsyncAPI document. Needs no service and no settings."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskforge.settings import Settings

__all__ = ["run"]


def run(args: argparse.Namespace, settings: "Settings | None") -> int:  # noqa: ARG001 (every command has this signature)
    """Write the document to standard output, indented; gives the exit code."""
    from api.asyncapi import asyncapi_document

    json.dump(json.loads(asyncapi_document()), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
    return 0
