"""A person in parts of body and clothes with VIP's ids, pasted back to front as its gait moves them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from eval.data.synthesize.canvas import Canvas, fill_outline, placement
from eval.data.synthesize.gait import Gait, draw_gait
from eval.data.synthesize.scene import Scene, Thing
from eval.data.synthesize.texture import TEXTURES, cloud_noise, draw_texture
from eval.vip.data import CLASSES

Place = Callable[[dict[str, np.ndarray]], tuple[tuple[float, float], float]]  # pose -> center x, y and angle

HUES = (50, 80, 115, 150)  # of clothes, 0..180 as in OpenCV: far from each other and from skin
LOOKS = (  # BGR of skin and hair
    ((135, 170, 225), (35, 45, 70)),
    ((110, 145, 205), (20, 22, 30)),
    ((150, 180, 230), (60, 135, 195)),
    ((70, 105, 165), (15, 15, 20)),
)
OUTFITS = (("upper-clothes", "pants"), ("upper-clothes", "skirt"), ("dress", "dress"))
# Outlines in heights of the person, of one who walks to the right; from the ankle and from the middle of the face.
SHOE = ((-0.035, -0.03), (0.02, -0.03), (0.085, 0.015), (0.085, 0.035), (-0.035, 0.035))
HAT = (
    (-0.085, -0.035), (-0.075, -0.085), (-0.04, -0.115), (0.03, -0.115), (0.07, -0.08), (0.13, -0.045), (0.13, -0.03),
)  # fmt: skip
FAR = 0.7  # brightness of the limbs on the side away from the camera


@dataclass(frozen=True)
class Part:
    """One patch of a person: a square `texture` (side, side, 3) uint8 BGR with its coverage `alpha` (side, side) uint8."""

    label: int
    texture: np.ndarray
    alpha: np.ndarray
    gait: Gait
    place: Place

    def draw(self, canvas: Canvas, time: float, offset: tuple[float, float]) -> int:
        """Paste the part at a time, seen from a camera at `offset`; returns its pixels inside the frame."""
        (x, y), angle = self.place(self.gait.pose(time))
        matrix = placement((x - offset[0], y - offset[1]), angle, 1, self.texture.shape)
        return canvas.paste(self.texture, self.alpha, matrix, self.label)


def draw_walk(
    rng: np.random.Generator, height: int, width: int, frames: int, swing: float = 1.0
) -> tuple[Scene, np.ndarray]:
    """Return a scene of a person who walks past something else that moves, and the joints in every frame.

    The joints are (frames, 15, 2) float64, x and y in pixels of the frames, counted from 0.
    """
    side = min(height, width)
    gait = draw_gait(rng, height, width, frames, swing)
    place = (width * rng.uniform(0.25, 0.75), height * rng.uniform(0.3, 0.6))
    passing = Thing(rng, 0, place, side * rng.uniform(0.1, 0.16), speed=0.03 * side, suppleness=0.1)
    scene = Scene(rng, [passing, *draw_person(rng, gait)], height, width, speed=0.004 * side, flicker=0.12)
    joints = np.stack([gait.joints(time) - scene.offset(time) for time in range(frames)])
    return scene, joints


def draw_person(rng: np.random.Generator, gait: Gait) -> list[Part]:
    """Return the parts of a person, back to front: the far limbs, legs, clothes, head, and the near arm before all."""
    upper, lower = OUTFITS[rng.integers(len(OUTFITS))]
    skin_color, hair_color = LOOKS[rng.integers(len(LOOKS))]
    side = int(np.ceil(0.7 * gait.size)) + 4
    hues = rng.permutation(HUES) + rng.uniform(-5, 5, 4)
    cloths = [draw_texture(rng, str(rng.choice(TEXTURES)), side, side, hue) for hue in hues]
    top, bottom, shoes, cap = cloths
    bottom = top if lower == upper else bottom
    skin, hair = (_plain(rng, side, color) for color in (skin_color, hair_color))
    sewing = _Sewing(gait)
    far, near = ("left", "right") if gait.near == "right" else ("right", "left")

    def leg(which: str) -> None:
        light = FAR if which == far else 1.0
        sewing.along(f"{which}-leg", f"{which} hip", f"{which} knee", capsule(0.235, 0.1, 0.085), skin * light)
        sewing.along(f"{which}-leg", f"{which} knee", f"{which} ankle", capsule(0.22, 0.08, 0.06), skin * light)
        sewing.upright(f"{which}-shoe", f"{which} ankle", facing(SHOE, gait.heading), shoes * light)
        if lower == "pants":
            sewing.along(lower, f"{which} hip", f"{which} knee", capsule(0.19, 0.11, 0.1, shift=-0.02), bottom * light)

    def arm(which: str) -> None:
        light = FAR if which == far else 1.0
        sewing.along(
            f"{which}-arm", f"{which} elbow", f"{which} wrist", capsule(0.18, 0.06, 0.06, shift=0.015), skin * light
        )
        sewing.along(f"{which}-arm", f"{which} shoulder", f"{which} elbow", capsule(0.16, 0.07, 0.06), skin * light)
        sewing.along(upper, f"{which} shoulder", f"{which} elbow", capsule(0.08, 0.09, 0.085, shift=-0.04), top * light)

    arm(far)
    leg(far)
    leg(near)
    if lower == "pants":
        sewing.upright(lower, "pelvis", trapezoid(0.17, 0.2, 0.1), bottom)
    else:
        sewing.upright(lower, "pelvis", trapezoid(0.16, 0.29, 0.27, shift=0.07), bottom)
    sewing.along(upper, "chest", "pelvis", trapezoid(0.25, 0.17, 0.27, shift=-0.01), top)
    sewing.along("torso-skin", "neck", "face", capsule(0.1, 0.075, 0.075), skin * 0.9)
    sewing.upright("torso-skin", "neck", np.array([(-0.05, -0.01), (0.05, -0.01), (0.0, 0.075)]), skin * 0.9)
    sewing.upright("hair", "face", ellipse(0.085, 0.1, -0.022 * gait.heading, -0.012), hair)
    sewing.upright("face", "face", ellipse(0.064, 0.078, 0.012 * gait.heading, 0.012), _face(skin, gait))
    if rng.random() < 0.5:
        sewing.upright("hat", "face", facing(HAT, gait.heading), cap)
    arm(near)
    return sewing.parts


class _Sewing:
    """Cuts the parts of one person out of textures, in the order in which they are pasted."""

    def __init__(self, gait: Gait):
        self.gait = gait
        self.parts: list[Part] = []

    def along(self, name: str, first: str, second: str, outline: np.ndarray, texture: np.ndarray) -> None:
        """Add a part whose vertical axis leads from one joint to another; the outline's origin is in the middle."""

        def place(pose: dict[str, np.ndarray]) -> tuple[tuple[float, float], float]:
            x, y = (pose[first] + pose[second]) / 2
            dx, dy = pose[second] - pose[first]
            return (x, y), float(np.arctan2(-dx, dy))

        self._add(name, outline, texture, place)

    def upright(self, name: str, joint: str, outline: np.ndarray, texture: np.ndarray) -> None:
        """Add a part that does not turn; the outline's origin is at the joint."""
        self._add(name, outline, texture, lambda pose: ((pose[joint][0], pose[joint][1]), 0.0))

    def _add(self, name: str, outline: np.ndarray, texture: np.ndarray, place: Place) -> None:
        """Cut a part; its outline (n, 2) is in heights of the person."""
        points = outline * self.gait.size
        side = min(2 * int(np.ceil(np.abs(points).max())) + 5, len(texture))
        margin = (len(texture) - side) // 2
        patch = texture[margin : margin + side, margin : margin + side].astype(np.float32)
        # Round bodies are darker at their sides.
        across = (np.arange(side) - side // 2) / max(np.abs(points[:, 0]).max(), 1)
        patch *= (1.06 - 0.3 * np.clip(across, -1, 1) ** 2)[None, :, None]
        alpha = fill_outline(points + (side - 1) / 2, side)
        label = CLASSES.index(name)
        self.parts.append(Part(label, np.clip(patch, 0, 255).astype(np.uint8), alpha, self.gait, place))


def capsule(length: float, first: float, second: float, shift: float = 0.0) -> np.ndarray:
    """Return the outline (n, 2) of a limb that hangs down: round ends of the given widths, `length` between their centers."""
    turn = np.linspace(0, np.pi, 12)
    half = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    ends = (-half * first / 2 - [0, length / 2], half * second / 2 + [0, length / 2])
    return np.concatenate(ends) + np.array([0, shift])


def trapezoid(top: float, bottom: float, length: float, shift: float = 0.0) -> np.ndarray:
    """Return the outline (4, 2) of a piece of clothing with the given widths."""
    x, y = np.array([-top, top, bottom, -bottom]) / 2, np.array([-length, -length, length, length]) / 2
    return np.stack([x, y + shift], axis=-1)


def ellipse(width: float, height: float, x: float, y: float) -> np.ndarray:
    """Return the outline (n, 2) of an ellipse of half axes `width` and `height` around (x, y)."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.stack([width * np.cos(turn) + x, height * np.sin(turn) + y], axis=-1)


def facing(outline: Sequence[tuple[float, float]], heading: int) -> np.ndarray:
    """Return an outline (n, 2) that is given for one who walks to the right, for one who walks where `heading` says."""
    return np.array(outline) * [heading, 1]


def _plain(rng: np.random.Generator, side: int, color: tuple[int, int, int]) -> np.ndarray:
    """Return a texture (side, side, 3) float64 of one color, BGR, with soft stains."""
    return np.array(color) * (0.85 + 0.25 * cloud_noise(rng, side, side)[..., None])


def _face(skin: np.ndarray, gait: Gait) -> np.ndarray:
    """Return skin (side, side, 3) with eyes and a mouth around its middle."""
    face = np.ascontiguousarray(skin, np.float32)
    middle, size = len(face) // 2, gait.size

    def at(x: float, y: float) -> tuple[int, int]:
        return round(middle + gait.heading * x * size), round(middle + y * size)

    for x in (0.0, 0.045):
        cv2.circle(face, at(x, -0.005), max(1, round(0.009 * size)), (30, 25, 25), cv2.FILLED)
    cv2.line(face, at(0.0, 0.05), at(0.04, 0.048), (60, 50, 150), max(1, round(0.01 * size)))
    return face
