"""Image rotation with Pillow: decode, rotate, encode."""

import base64
import io

from PIL import Image

from actorfaas import function


def draw(side: int) -> Image.Image:
    """A colour gradient with a dark square, so that a rotation is visible."""
    red = Image.linear_gradient("L").resize((side, side))
    green = red.transpose(Image.Transpose.ROTATE_90)
    picture = Image.merge("RGB", (red, green, Image.new("L", (side, side), 90)))
    picture.paste((0, 0, 0), (side // 8, side // 8, side // 3, side // 4))
    return picture


@function
def image_rotate(event: dict) -> dict:
    """Draw (or take the base64 `image`), rotate by `degrees`, return the PNG's size and its mean colour."""
    if "image" in event:
        picture = Image.open(io.BytesIO(base64.b64decode(event["image"]))).convert("RGB")
    else:
        picture = draw(event["side"])
    turned = picture.rotate(event["degrees"], expand=True)
    encoded = io.BytesIO()
    turned.save(encoded, "PNG")
    mean = turned.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    return {"size": list(turned.size), "png_bytes": len(encoded.getvalue()), "mean": list(mean)}
