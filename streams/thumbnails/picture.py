"""A small WebP of an image: `python picture.py SOURCE TARGET`, a process that an image may bring down without harm.

It imports nothing of ours, so that it starts quickly and holds nothing worth stealing. Exit codes: 0 made, 3 the image
is not one of which we make pictures (broken, too large, of another kind); anything else is a failure of ours.
"""

import resource
import sys
import warnings
from pathlib import Path
from typing import Final

MOST_PIXELS: Final = 50_000_000
"""Of the source, before anything of it is decoded: a photograph has 12 to 50 million."""
LARGEST_SIDE: Final = 320
FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP")
QUALITY: Final = 80
MEMORY_BYTES: Final = 1024 * 1024 * 1024
CPU_SECONDS: Final = 20
FILE_BYTES: Final = 4 * 1024 * 1024
REFUSED: Final = 3


def confine() -> None:
    """Take no more of the machine than a picture needs; whoever wants more is ended by the kernel."""
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def make(source: Path, target: Path) -> None:
    """Write the picture: upright, at most 320 pixels each way, the first frame, without metadata.

    Raises what Pillow raises for an image that cannot be read or is a decompression bomb, and ValueError.
    """
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    with Image.open(source, formats=FORMATS) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError("too many pixels")
        image.draft("RGB", (2 * LARGEST_SIDE, 2 * LARGEST_SIDE))  # A JPEG is decoded at a fraction of its size.
        upright = ImageOps.exif_transpose(image)
        plain = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    plain.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    # A new image has the pixels and nothing else: no EXIF with a place in it, no profile, no comment.
    bare = Image.frombytes(plain.mode, plain.size, plain.tobytes())
    bare.save(target, "WEBP", quality=QUALITY)


def main(source: str, target: str) -> int:
    """The exit code."""
    confine()
    try:
        make(Path(source), Path(target))
    except Exception as error:  # noqa: BLE001 (Pillow's readers raise whatever a broken file makes them)
        sys.stderr.write(f"{type(error).__name__}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
