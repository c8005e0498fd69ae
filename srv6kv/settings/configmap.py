"""contiv.conf as it is kept in Kubernetes: a text in the ConfigMap contiv-agent-cfg."""

from __future__ import annotations

from collections.abc import Iterator

from srv6kv.yamllines import Excerpt, Node

CONFIG_MAP = "contiv-agent-cfg"
CONFIG_KEY = "contiv.conf"


def is_manifest(node: Node) -> bool:
    """Whether a document is a Kubernetes object rather than settings."""
    return isinstance(node.value, dict) and {"kind", "apiVersion"} <= node.value.keys()


def excerpt_of(config_map: Node, name: str) -> Excerpt | None:
    """The contiv.conf of a ConfigMap in the file of this name, if it has one."""
    text = _at(config_map, "data", CONFIG_KEY)
    if text is None or not isinstance(text.value, str):
        return None
    return Excerpt(text.value, name, text.text_line, text.is_verbatim)


def find(manifests: list[Node], name: str) -> Excerpt | None:
    """The contiv.conf among manifests: of contiv-agent-cfg, else of the first that has one."""
    found = [
        (_value(config_map, "metadata", "name") != CONFIG_MAP, excerpt)
        for manifest in manifests
        for config_map in _config_maps(manifest)
        if (excerpt := excerpt_of(config_map, name))
    ]
    return min(found, key=lambda candidate: candidate[0])[1] if found else None


def _config_maps(node: Node) -> Iterator[Node]:
    match _value(node, "kind"):
        case "ConfigMap":
            yield node
        case "List" | "ConfigMapList" as kind:
            items = _at(node, "items")
            for item in items.value if items and isinstance(items.value, list) else []:
                if kind == "ConfigMapList" or _value(item, "kind") == "ConfigMap":
                    yield item


def _at(node: Node, *path: str) -> Node | None:
    for key in path:
        inner = node.value.get(key) if isinstance(node.value, dict) else None
        if inner is None:
            return None
        node = inner
    return node


def _value(node: Node, *path: str) -> object:
    found = _at(node, *path)
    return found.value if found else None
