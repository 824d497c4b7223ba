"""Read the small part of YAML that a configuration file needs, strictly.

Plain words are text unless they are a decimal number or null: no dates, no `on` and `off`, no 1:30.  A key that is
there twice is refused, of which YAML itself would silently take the second; so are anchors, aliases and tags, by
which a small file could become large, and nesting deep enough to trouble the parser.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from ovsha.config_values import quote
from ovsha.errors import ConfigError

DEPTH = 8
"""The nesting above which a file is refused; ours needs three."""


def read_yaml(text: str) -> Any:
    """Return dicts, lists, texts, ints, floats and Nones; None for an empty text.

    Raises ConfigError with the line and what is wrong there.
    """
    try:
        _refuse_cleverness(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as err:
        line = f"line {err.problem_mark.line + 1}: " if err.problem_mark else ""
        raise ConfigError(line + ", ".join(filter(None, (err.context, err.problem)))) from err
    except yaml.YAMLError as err:
        raise ConfigError(" ".join(str(err).split())) from err


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own form)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _refusal(f"the key {quote(key.value)} is there twice", key)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_NUMBER_STARTS = list("-+.0123456789")
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9]{0,17})$"), _NUMBER_STARTS)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$"),
    _NUMBER_STARTS,
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(~|null|)$"), ["~", "n", ""])


def _refuse_cleverness(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise _refusal("is nested too deeply", event)
        if isinstance(event, yaml.NodeEvent) and (event.anchor or getattr(event, "tag", None)):
            raise _refusal("anchors, aliases and tags of YAML are not used here", event)


def _refusal(problem: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)
