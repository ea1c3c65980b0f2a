"""How a person walks across the picture: where each joint is at a time."""

from dataclasses import dataclass

import numpy as np

from eval.jhmdb.data import JOINTS

# Lengths in heights of the person.
THIGH, SHIN, SOLE = 0.235, 0.22, 0.035
UPPER_ARM, FOREARM = 0.16, 0.15
SHOULDER, HIP = 0.1, 0.045  # from the middle to either side: the person is half turned to the camera
CYCLE = 0.8  # that the person gets on in two steps


@dataclass(frozen=True)
class Gait:
    """The motion of one person; the camera sees the person's right side on the left.

    Attributes:
        size: height of the person in pixels.
        start: x of the hips at time 0, and y of the ground, pixels.
        speed: pixels per frame, to the right if positive.
        phase: of the step at time 0, radians; at odd multiples of pi / 2 the limbs are furthest apart.
        swing: of the limbs, 1 for a walk and more for a run.
    """

    size: float
    start: tuple[float, float]
    speed: float
    phase: float
    swing: float = 1.0

    @property
    def heading(self) -> int:
        """1 to the right, -1 to the left."""
        return 1 if self.speed >= 0 else -1

    @property
    def near(self) -> str:
        """The side of the person that the camera sees in front of the other."""
        return "right" if self.heading > 0 else "left"

    def pose(self, time: float) -> dict[str, np.ndarray]:
        """Return x, y in pixels (2,) of every joint, of the `pelvis` between the hips, and of the `chest` under the neck."""
        at = {"pelvis": (0, 0), "belly": (0, -0.11), "chest": (0, -0.27), "neck": (0, -0.3), "face": (0, -0.4)}
        pose = {name: np.array(place, float) for name, place in at.items()}
        phase = self.phase + 2 * np.pi * abs(self.speed) * time / (CYCLE * self.size)
        for side, sign, turn in (("right", -1, 0.0), ("left", 1, np.pi)):
            step, lift = np.sin(phase + turn), max(0.0, np.cos(phase + turn))
            thigh, knee_bend = 0.42 * self.swing * step, 0.12 + 0.55 * self.swing * lift
            arm, elbow_bend = -0.6 * self.swing * step, 0.3 * self.swing - 0.15 * step
            hip, shoulder = np.array([sign * HIP, 0]), np.array([sign * SHOULDER, -0.275])
            knee = hip + THIGH * self._down(thigh)
            elbow = shoulder + UPPER_ARM * self._down(arm)
            pose |= {f"{side} hip": hip, f"{side} knee": knee, f"{side} shoulder": shoulder, f"{side} elbow": elbow}
            pose[f"{side} ankle"] = knee + SHIN * self._down(thigh - knee_bend)
            pose[f"{side} wrist"] = elbow + FOREARM * self._down(arm + elbow_bend)
        # Either foot carries: the hips rise and sink with the lower one on the ground.
        lowest = max(pose["right ankle"][1], pose["left ankle"][1]) + SOLE
        origin = np.array([self.start[0] + self.speed * time, self.start[1] - self.size * lowest])
        return {name: origin + self.size * place for name, place in pose.items()}

    def joints(self, time: float) -> np.ndarray:
        """Return x, y in pixels of `JOINTS`, (15, 2) float64."""
        pose = self.pose(time)
        return np.stack([pose[name] for name in JOINTS])

    def _down(self, angle: float) -> np.ndarray:
        """Return the direction (2,) that leads down and, by an angle, to where the person goes."""
        return np.array([self.heading * np.sin(angle), np.cos(angle)])


def draw_gait(rng: np.random.Generator, height: int, width: int, frames: int, swing: float = 1.0) -> Gait:
    """Return a gait that crosses the middle of the picture (height, width) in the middle of a clip."""
    size = 0.84 * min(height, 1.1 * width)
    # At most a fifteenth of the width a frame: limbs shall be followed from frame to frame.
    speed = float(rng.choice((-1, 1))) * width * min(0.5 / max(frames - 1, 1), 1 / 15)
    start = width / 2 - speed * (frames - 1) / 2, (height + size) / 2
    # The far arm begins before the body and the near one behind it, so that both are seen.
    phase = (0.5 if speed > 0 else 1.5) * np.pi + rng.uniform(-0.3, 0.3)
    return Gait(size, start, speed, phase, swing)
