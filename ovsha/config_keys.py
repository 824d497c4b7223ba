"""Describe the keys of the configuration file, which are the fields of frozen dataclasses.

A key has its one-sentence documentation, the reader that turns what stands in the file into the value the agent works
with, and its default as it would stand in the file.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import Any

from ovsha import config_values as read


class Default(Enum):
    """What stands in the place of a default where there is none."""

    REQUIRED = "required"


def key(doc: str, reader: read.Reader, default: object = Default.REQUIRED, example: object = None) -> Any:
    """Describe one key of the file; `default` and `example` are written as in the file."""
    metadata = {
        "doc": doc,
        "read": reader,
        "default": default,
        "example": default if example is None else example,
    }
    if default is Default.REQUIRED:
        return field(metadata=metadata)
    return field(default=reader(default), metadata=metadata)


def section(kind: type) -> Any:
    """Describe a mapping of the file whose keys are the fields of `kind`."""
    return field(metadata={"section": kind})


def named(kind: type) -> Any:
    """Describe a mapping from names that the operator chooses to sections of `kind`."""
    return field(metadata={"named": kind})
