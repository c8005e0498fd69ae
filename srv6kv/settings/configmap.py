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
    text = config_map.at("data", CONFIG_KEY)
    if text is None or not isinstance(text.value, str):
        return None
    return Excerpt(text.value, name, text.text_line, text.is_verbatim)


def find(manifests: list[Node], name: str) -> Excerpt | None:
    """The contiv.conf among manifests: of contiv-agent-cfg, else of the first that has one."""
    found = [
        (config_map.value_at("metadata", "name") != CONFIG_MAP, excerpt)
        for manifest in manifests
        for config_map in _config_maps(manifest)
        if (excerpt := excerpt_of(config_map, name))
    ]
    return min(found, key=lambda candidate: candidate[0])[1] if found else None


def _config_maps(node: Node) -> Iterator[Node]:
    match node.value_at("kind"):
        case "ConfigMap":
            yield node
        case "List" | "ConfigMapList" as kind:
            items = node.at("items")
            for item in items.value if items and isinstance(items.value, list) else []:
                if kind == "ConfigMapList" or item.value_at("kind") == "ConfigMap":
                    yield item
