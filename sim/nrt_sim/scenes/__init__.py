"""What a simulated camera looks at: scenes, paths, and how scenes combine."""

from nrt_sim.scenes.image import Image
from nrt_sim.scenes.objects import Disc, MovingBar
from nrt_sim.scenes.path import Action, Circle, Path, Saccades, Steerable, Still, Straight
from nrt_sim.scenes.scene import Scene, Truth, Uniform

__all__ = [
    "Action",
    "Circle",
    "Disc",
    "Image",
    "MovingBar",
    "Path",
    "Saccades",
    "Scene",
    "Steerable",
    "Still",
    "Straight",
    "Truth",
    "Uniform",
]
