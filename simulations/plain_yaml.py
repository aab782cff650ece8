"""YAML without surprises: names are text, and one that is given twice is an error, not the last one's victory."""

from __future__ import annotations

from typing import Any

import yaml


class PlainLoader(yaml.SafeLoader):
    """Makes plain values only, and takes no name twice."""


def _mapping(loader: PlainLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        name = loader.construct_object(key, deep=True)
        if not isinstance(name, str):
            raise yaml.constructor.ConstructorError(None, None, f"the name {name!r} is not text", key.start_mark)
        if name in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the name {name!r} is given twice", key.start_mark)
        seen.add(name)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


PlainLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
