"""What a simulated camera looks at: scenes, paths, and how scenes combine."""

from nrt_sim.scenes.image import Image
from nrt_sim.scenes.objects import Disc, Looming, MovingBar, Objects
from nrt_sim.scenes.path import Action, Circle, Path, Saccades, Steerable, Still, Straight
from nrt_sim.scenes.patterns import Grating, RandomDots
from nrt_sim.scenes.pictures import Video, Webcam, image_file, read_image
from nrt_sim.scenes.reaction import Reaction, Reactions
from nrt_sim.scenes.scene import Scene, Truth, Uniform
from nrt_sim.scenes.texture import texture

__all__ = [
    "Action",
    "Circle",
    "Disc",
    "Grating",
    "Image",
    "Looming",
    "MovingBar",
    "Objects",
    "Path",
    "RandomDots",
    "Reaction",
    "Reactions",
    "Saccades",
    "Scene",
    "Steerable",
    "Still",
    "Straight",
    "Truth",
    "Uniform",
    "Video",
    "Webcam",
    "image_file",
    "read_image",
    "texture",
]
