"""Rendering: from the cluster to the desired state of one node."""

from srv6kv.render.desired import Delta, Desired, Steered
from srv6kv.render.renderer import Renderer, render

__all__ = ["Delta", "Desired", "Renderer", "Steered", "render"]
