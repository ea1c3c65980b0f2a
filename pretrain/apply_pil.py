"""Photometric operations by PIL, one image at a time: the plain path."""

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from pretrain.photometric import ORDERS, Photometric


def apply_pil(image: Image.Image, parameters: Photometric) -> Image.Image:
    """Apply one view's parameters to its crop."""
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    factors = (parameters.brightness, parameters.contrast, parameters.saturation)
    for step in ORDERS[parameters.order] if parameters.order >= 0 else ():
        if step == 3:
            hue, saturation, value = image.convert("HSV").split()
            shifted = np.asarray(hue) + np.uint8(int(parameters.hue * 255) % 256)  # wraps
            image = Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB")
        else:
            image = enhancers[step](image).enhance(factors[step])
    if parameters.gray:
        image = image.convert("L").convert("RGB")
    if parameters.blur:
        image = image.filter(ImageFilter.GaussianBlur(parameters.blur))
    if parameters.solarize:
        image = ImageOps.solarize(image)
    return image
