"""Pictures as files."""

import io

from PIL import Image

__all__ = ["png"]


def png(width: int, height: int, colour: str = "crimson") -> bytes:
    """A picture of one colour; the sizes are pixels."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()
