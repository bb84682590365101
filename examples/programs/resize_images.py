# Make a square thumbnail (cropped to the middle, not squeezed) and a web size of every photo, all at once,
# and say what the cameras wrote into the files.
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from PIL import ExifTags, Image, ImageOps

PHOTOS = Path("/data/photos")


def describe(image):
    exif = image.getexif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    camera = " ".join(filter(None, [exif.get(ExifTags.Base.Make), exif.get(ExifTags.Base.Model)]))
    parts = [camera or "no camera data"]
    if ExifTags.Base.FNumber in details:
        parts.append(f"f/{float(details[ExifTags.Base.FNumber]):.1f}")
        parts.append(f"1/{round(1 / details[ExifTags.Base.ExposureTime])} s")
        parts.append(f"ISO {details[ExifTags.Base.ISOSpeedRatings]}")
    return ", ".join(parts)


def convert(path):
    with Image.open(path) as image:
        about = f"{path.name:<13} {image.format:<5} {image.width:>4}x{image.height:<4} {describe(image)}"
        upright = ImageOps.exif_transpose(image).convert("RGB")
    if upright.size != image.size:
        about += f", turned upright to {upright.width}x{upright.height}"
    ImageOps.fit(upright, (256, 256), Image.Resampling.LANCZOS).save(f"{path.stem}-thumb.webp", quality=80)
    upright.thumbnail((800, 800), Image.Resampling.LANCZOS)
    upright.save(f"{path.stem}-web.jpg", quality=85, optimize=True)
    return about


photos = sorted(p for p in PHOTOS.iterdir() if p.suffix.lower() in {".jpg", ".png", ".webp"})
with ProcessPoolExecutor(max_workers=4) as pool:
    for about in pool.map(convert, photos):
        print(about)
f"{len(photos)} photos, {len(list(Path('.').glob('*-thumb.webp')))} thumbnails and {len(list(Path('.').glob('*-web.jpg')))} web sizes"
