"""What scenes show and what they say about it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nrt.errors import ConfigError, DeviceLost, MissingDependency, NotFound
from nrt_sim.scenes import (
    Circle,
    Disc,
    Grating,
    Image,
    Looming,
    MovingBar,
    Objects,
    RandomDots,
    Saccades,
    Scene,
    Steerable,
    Still,
    Straight,
    Uniform,
    read_image,
    texture,
)
from nrt_sim.scenes.catalogue import SCENES, View, make
from nrt_sim.scenes.pictures import Webcam

SHAPE = (40, 60)
FILES = {"image", "video", "webcam"}


def centre(picture: np.ndarray, background: float) -> tuple[float, float]:
    """Centre of what differs from the background, as (x, y); pixel (0, 0) has its centre at (0.5, 0.5)."""
    weight = np.abs(picture.astype(np.float64) - background)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    return float((x * weight).sum() / weight.sum()), float((y * weight).sum() / weight.sum())


def made(name: str, shape: tuple[int, int] = SHAPE) -> Scene:
    return make(name, View(shape, seed=1))


@pytest.mark.parametrize("name", sorted(set(SCENES) - FILES))
def test_every_scene_is_a_function_of_time_to_positive_light(name: str) -> None:
    scene, out = made(name), np.full(SHAPE, np.nan, np.float32)
    for t in (0, 1, 12_345, 999_999, 60_000_000):
        scene.frame(t, out)
        assert np.all(np.isfinite(out))
        assert np.all(out > 0)
    assert scene.picture(12_345).tobytes() == made(name).picture(12_345).tobytes()


@pytest.mark.parametrize("name", sorted(set(SCENES) - FILES))
def test_what_a_scene_tells_about_itself_has_known_labels(name: str) -> None:
    scene = made(name)
    assert {truth.label for truth in scene.truth(5_000)} <= set(scene.labels)


def test_the_truth_of_a_bar_is_where_the_light_is() -> None:
    bar = MovingBar(SHAPE, speed=100.0, width=4.0, light=500.0, background=50.0)
    for t in (150_000, 313_000, 500_000):
        (truth,) = bar.truth(t)
        x, _ = centre(bar.picture(t), 50.0)
        assert x == pytest.approx(truth.x, abs=0.02)
        assert (truth.vx, truth.label) == (100.0, "right")


@pytest.mark.parametrize(
    ("degrees", "label"), [(0, "right"), (90, "down"), (180, "left"), (270, "up"), (45, "down-right")]
)
def test_a_bar_moves_in_the_direction_of_its_label(degrees: float, label: str) -> None:
    bar = MovingBar((60, 60), speed=100.0, degrees=degrees, length=6.0)
    (x0, y0), (x1, y1) = (centre(bar.picture(t), 50.0) for t in (300_000, 400_000))
    (truth,) = bar.truth(350_000)
    assert truth.label == label
    assert (x1 - x0, y1 - y0) == pytest.approx((truth.vx / 10, truth.vy / 10), abs=0.3)


def test_edges_move_by_fractions_of_a_pixel() -> None:
    bar = MovingBar(SHAPE, speed=1.0, width=4.0)
    light = [bar.picture(30_000_000 + k * 100_000).sum(axis=0)[:40].tolist() for k in range(11)]
    assert len({tuple(row) for row in light}) == 11


def test_the_truth_of_a_dot_on_a_circle_is_where_the_light_is() -> None:
    dot = Disc(SHAPE, Circle(30.0, 20.0, 12.0, 2.0), radius=3.0)
    for t in (0, 77_000, 400_000):
        (truth,) = dot.truth(t)
        assert centre(dot.picture(t), 50.0) == pytest.approx((truth.x, truth.y), abs=0.05)
        assert np.hypot(truth.vx, truth.vy) == pytest.approx(2 * np.pi * 2 * 12, rel=0.01)


def test_a_grating_passes_a_pixel_at_its_frequency() -> None:
    grating = Grating(SHAPE, period=20.0, hertz=5.0, light=100.0, contrast=0.5)
    seen = np.array([grating.picture(k * 2_000)[7, 9] for k in range(500)])
    spectrum = np.abs(np.fft.rfft(seen - seen.mean()))
    assert spectrum.argmax() == 5
    assert (seen.min(), seen.max()) == pytest.approx((50, 150), rel=0.01)


def test_a_looming_disc_grows_as_the_inverse_of_the_time_that_is_left() -> None:
    looming = Looming(SHAPE, size=2.0, contact=1_000_000)
    assert [looming.radius(t) for t in (0, 500_000, 750_000)] == [2.0, 4.0, 8.0]
    assert np.all(looming.picture(999_999) == 50.0)
    assert looming.radius(1_000_000) == 2.0


def test_dots_with_full_coherence_move_together_and_without_do_not() -> None:
    """Correlation of two pictures 50 ms apart at the shift of 5 pixels that the motion makes."""

    def agreement(coherence: float) -> float:
        dots = RandomDots((100, 100), count=60, speed=100.0, coherence=coherence, life=10**9, seed=2)
        a, b = dots.picture(0), dots.picture(50_000)
        return float(np.corrcoef(np.roll(a, 5, axis=1).ravel(), b.ravel())[0, 1])

    assert agreement(1.0) > 0.8
    assert agreement(0.0) < 0.2


def test_objects_lie_in_front_of_each_other_and_all_are_told() -> None:
    discs = [
        Disc(SHAPE, Still(30.0, 20.0), radius=8.0, light=100.0, label="behind"),
        Disc(SHAPE, Straight(30.0, 20.0, 50.0, 0.0), radius=4.0, light=400.0, label="front"),
    ]
    scene = Objects(SHAPE, discs, background=10.0)
    picture = scene.picture(0)
    assert (picture[20, 30], picture[20, 36], picture[0, 0]) == (400.0, 100.0, 10.0)
    assert [(truth.label, truth.x) for truth in scene.truth(100_000)] == [("behind", 30.0), ("front", 35.0)]


def test_a_saccade_moves_the_picture_against_the_gaze() -> None:
    picture = np.zeros((21, 21))
    picture[10, 10] = 1.0
    scene = Image(picture, (21, 21), path=Straight(0, 0, 10.0, 0.0), light=100.0, contrast=10.0, label="dot")
    for t in (0, 250_000):
        (truth,) = scene.truth(t)
        assert centre(scene.picture(t), 10.0) == pytest.approx((truth.x, truth.y), abs=0.01)
    assert truth.vx == pytest.approx(-10.0)


def test_the_saccades_of_n_mnist_visit_a_triangle_in_300_ms() -> None:
    path = Saccades(size=4.0)
    corners = [path.at(t) for t in (0, 100_000, 200_000, 300_000)]
    assert corners[0] == corners[3]
    assert len(set(corners)) == 3
    assert path.velocity(1_000)[0] == pytest.approx(0.0, abs=1.0)


def test_scenes_add_multiply_and_cover() -> None:
    a, b = Uniform(SHAPE, light=30.0), Uniform(SHAPE, light=4.0)
    assert np.all((a + b).picture(0) == 34.0)
    assert np.all((a * b).picture(0) == 120.0)
    disc = Disc(SHAPE, Still(30.0, 20.0), radius=5.0, light=100.0)
    picture = disc.over(a).picture(0)
    assert (picture[20, 30], picture[0, 0]) == (100.0, 30.0)
    assert [truth.label for truth in (disc + a).truth(0)] == ["disc"]


def test_scenes_of_different_shapes_do_not_combine() -> None:
    with pytest.raises(ConfigError, match="cannot be combined"):
        (Uniform(SHAPE) + Uniform((3, 3))).picture(0)


def test_a_texture_depends_on_its_seed_and_has_all_greys() -> None:
    a, b = texture((50, 70), 1), texture((50, 70), 2)
    assert (a.min(), a.max()) == (0.0, 1.0)
    assert not np.array_equal(a, b)
    assert np.array_equal(a, texture((50, 70), 1))


def test_a_steerable_path_goes_where_it_is_steered_at_its_speed() -> None:
    path = Steerable(0.0, 0.0, speed=1_000.0)
    assert path.at(0) == (0.0, 0.0)
    path.steer(30.0, 40.0)
    assert path.at(10_000) == pytest.approx((6.0, 8.0))
    assert path.velocity(10_000) == pytest.approx((600.0, 800.0))
    assert path.at(50_000) == (30.0, 40.0)
    (action,) = path.actions
    assert (action.x, action.y, action.taken) == (30.0, 40.0, 0)
    with pytest.raises(ConfigError, match="cannot steer"):
        path.steer(float("nan"), 0.0)


@pytest.mark.parametrize(
    "make_scene",
    [
        lambda: MovingBar(SHAPE, background=0.0),
        lambda: Disc(SHAPE, Still(), radius=-1.0),
        lambda: Grating(SHAPE, contrast=1.0),
        lambda: Image(np.full((3, 3), 2.0), SHAPE),
        lambda: Image(np.zeros((3, 3, 3)), SHAPE),
        lambda: RandomDots(SHAPE, coherence=2.0),
        lambda: Uniform((0, 4)),
        lambda: make("bar", View(SHAPE, light=0.0)),
        lambda: make("bar", View(SHAPE, velocity=float("nan"))),
        lambda: make("image", View(SHAPE)),
    ],
)
def test_impossible_scenes_are_refused(make_scene: object) -> None:
    assert callable(make_scene)
    with pytest.raises(ConfigError):
        make_scene()


def test_an_unknown_scene_lists_those_there_are() -> None:
    with pytest.raises(NotFound, match="saccades"):
        make("opera", View(SHAPE))


def test_pictures_need_pyav_and_say_so(tmp_path: Path) -> None:
    """In a process where `av` cannot be imported; where it is installed the next test reads a file."""
    script = (
        "import sys; sys.modules['av'] = None\n"
        "from nrt_sim.scenes import read_image\n"
        "from nrt.errors import MissingDependency\n"
        "try: read_image('x.png')\n"
        "except MissingDependency as error: print(error.extra, '|', error)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{root}:{root}/sim"},
    )
    assert done.stdout.startswith("video | a picture x.png needs the package av")


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    path.write_text("no picture")
    pytest.importorskip("av")
    with pytest.raises(ConfigError, match=r"text\.png"):
        read_image(path)
    with pytest.raises(NotFound):
        read_image(tmp_path / "none.png")


def test_a_video_is_interpolated_between_its_pictures_and_starts_again(tmp_path: Path) -> None:
    """Ten pictures of 100 ms, each brighter than the one before, written by PyAV without loss."""
    av = pytest.importorskip("av")
    path = tmp_path / "ramp.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 12, "gray"
        for k in range(10):
            grey = np.full((12, 16), 20 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
        container.mux(stream.encode())
    video = make("video", View((24, 32), file=str(path), light=100.0))
    light = [float(video.picture(t)[5, 5]) for t in (0, 50_000, 100_000, 130_000, 200_000, 900_000)]
    assert light == sorted(set(light))
    assert light[1] == pytest.approx((light[0] + light[2]) / 2)
    assert float(video.picture(1_500_000)[5, 5]) < light[-1]
    video.close()


def test_a_webcam_that_is_not_there_is_named() -> None:
    with pytest.raises((NotFound, MissingDependency), match="/dev/none"):
        make("webcam", View(SHAPE, file="/dev/none"))


def test_a_webcam_that_disappears_is_said_to_be_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of three raw pictures stands for the camera: it ends, as a device file does when its plug is pulled."""
    av = pytest.importorskip("av")
    device = tmp_path / "video0"
    pictures = [b"FRAME\n" + bytes([40 * k + 40]) * (16 * 12 * 3 // 2) for k in range(3)]
    device.write_bytes(b"YUV4MPEG2 W16 H12 F30:1 Ip A1:1 C420jpeg\n" + b"".join(pictures))
    opened = av.open
    monkeypatch.setattr(av, "open", _as_film(opened))
    camera = Webcam(str(device), (12, 16), light=100.0)
    light = [float(camera.picture(t)[5, 5]) for t in (0, 20_000, 40_000, 60_000, 80_000)]
    assert light == sorted(light)
    assert light[0] < light[-1]
    with pytest.raises(DeviceLost, match="video0: it gives no more pictures"):
        camera.picture(200_000)
    camera.close()
    with pytest.raises(NotFound, match="no webcam"):
        Webcam(str(tmp_path / "video1"), (12, 16))


def _as_film(opened: Callable[..., object]) -> Callable[[str, str], object]:
    """`av.open` that takes a raw video where it is asked for a camera."""

    def open(path: str, format: str) -> object:
        return opened(path, format="yuv4mpegpipe")

    return open
