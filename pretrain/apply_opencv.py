"""Photometric operations by OpenCV on 8-bit images: the path of CPU workers."""

import cv2
import numpy as np

from pretrain.photometric import ORDERS, Photometric

LEVELS = np.arange(256)
SOLARIZED = np.where(LEVELS < 128, LEVELS, 255 - LEVELS).astype(np.uint8)


def apply_opencv(image: np.ndarray, parameters: Photometric) -> np.ndarray:
    """Apply one view's parameters to its crop `(H, W, 3)`, uint8 RGB; brightness, contrast and solarization are
    look-up tables."""
    for step in ORDERS[parameters.order] if parameters.order >= 0 else ():
        if step == 0:
            image = cv2.LUT(image, _table(LEVELS * parameters.brightness))
        elif step == 1:
            mean = int(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean() + 0.5)
            image = cv2.LUT(image, _table(mean + parameters.contrast * (LEVELS - mean)))
        elif step == 2:
            factor = parameters.saturation
            image = cv2.addWeighted(image, factor, _gray(image), 1 - factor, 0)
        else:
            hsv: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
            hsv[..., 0] += np.uint8(int(parameters.hue * 255) % 256)  # wraps
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
    if parameters.gray:
        image = _gray(image)
    if parameters.blur:
        image = cv2.GaussianBlur(image, (0, 0), parameters.blur, borderType=cv2.BORDER_REPLICATE)
    if parameters.solarize:
        image = cv2.LUT(image, SOLARIZED)
    return image


def _table(values: np.ndarray) -> np.ndarray:
    return values.clip(0, 255).astype(np.uint8)


def _gray(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
