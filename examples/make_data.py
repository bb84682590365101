"""Makes examples/data once: a spreadsheet, log files and photographs with the dirt that real ones have.

Seeded, so that the same libraries make the same bytes; needs the `data` extra. The result is committed: run this again
only to change what the demo works on.
"""

import gzip
import io
import itertools
import json
import math
import random
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import openpyxl
from PIL import ExifTags, Image, ImageDraw

DATA = Path(__file__).parent / "data"
ORDERS = 3200
DAYS = [date(2026, 3, 2) + timedelta(days=n) for n in range(7)]

CATEGORIES = {
    "Electronics": ["USB-C Dock", "Noise-Cancelling Headset", '27" Monitor', "Webcam HD"],
    "Furniture": ["Standing Desk", "Office Chair", "Bookshelf, oak", "Filing Cabinet"],
    "Office Supplies": ["Copy Paper A4", "Gel Pens (12)", "Sticky Notes", "Toner, black"],
    "Kitchen": ["Espresso Beans 1kg", "Water Filter", "Mug, ceramic", "Oat Drink (6)"],
}
PRICES = (
    129.0,
    249.5,
    389.99,
    59.9,
    649.0,
    1189.0,
    219.0,
    274.25,
    4.99,
    11.4,
    3.2,
    89.0,
    24.9,
    34.5,
    7.95,
    12.6,
)
REGIONS = ["North", "South", "East", "West"]
CUSTOMERS = [
    "Müller & Söhne GmbH", "Łódź Logistics", "O'Brien Catering", "Nguyễn Trading", "ACME Corp.", "Café Zoë",
    "Smith, Jones & Partners", "Hafen-Kontor AG", "Blue Ridge Clinic", "Åkerlund Bygg", "東京商事", "Peña Hermanos",
]  # fmt: skip


def main() -> None:
    """Make everything anew."""
    shutil.rmtree(DATA, ignore_errors=True)
    (DATA / "logs").mkdir(parents=True)
    (DATA / "photos").mkdir()
    make_sheet(random.Random(20260302))
    make_logs(random.Random(20260309))
    make_photos(np.random.default_rng(20260316))


# The spreadsheet: one header below two lines of title, a line of totals at the end, and dirt in every column.


def make_sheet(rng: random.Random) -> None:
    """Write sales.xlsx."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Orders"
    sheet.append(["Sales export, all regions"])
    sheet.append([])
    header = [
        "Order ID",
        "Order Date",
        "Customer",
        " Region",
        "Category",
        "Product",
        "Units",
        "Unit Price",
        "Status",
    ]
    sheet.append(header)
    rows = [order_row(rng, number) for number in range(ORDERS)]
    for _ in range(90):
        # The same order exported twice, not always side by side.
        rows.insert(rng.randrange(len(rows)), rng.choice(rows))
    for row in rows:
        sheet.append(row)
    sheet.append(
        ["TOTAL", None, None, None, None, None, sum(r[6] for r in rows if isinstance(r[6], int))]
    )
    notes = book.create_sheet("Notes")
    for line in (
        "Dates are day first unless written as year-month-day.",
        "Prices in EUR whatever the sign says.",
    ):
        notes.append([line])
    save_book(book, DATA / "sales.xlsx")


def order_row(rng: random.Random, number: int) -> list[object]:
    """Make one order with about one piece of dirt in four cells."""
    day = date(2025, 1, 1) + timedelta(days=int(number * 365 / ORDERS))
    category = rng.choice(list(CATEGORIES))
    index = rng.randrange(4)
    price = PRICES[list(CATEGORIES).index(category) * 4 + index] * rng.choice([1, 1, 1, 0.9, 10])
    units: object = rng.choice([1, 1, 2, 3, 5, 10, 24])
    if rng.random() < 0.05:
        units = f"{rng.choice([1200, 2500, 1000]):,}"
    return [
        f"SO-{100000 + number}",
        dirty_date(rng, day),
        dirty_text(rng, rng.choice(CUSTOMERS)),
        dirty_text(rng, rng.choice(REGIONS))
        if rng.random() > 0.03
        else rng.choice([None, "n/a", "-"]),
        dirty_text(rng, category),
        CATEGORIES[category][index],
        units if rng.random() > 0.02 else None,
        dirty_price(rng, round(price, 2)),
        rng.choice(
            ["shipped", "shipped", "shipped", "Shipped ", "returned", "RETURNED", "open", None]
        ),
    ]


def dirty_date(rng: random.Random, day: date) -> object:
    """Write a date in one of the ways that people do."""
    ways: list[Callable[[], object]] = [
        lambda: datetime(day.year, day.month, day.day),  # noqa: DTZ001  cells of a sheet know no time zone
        day.isoformat,
        lambda: f"{day:%d/%m/%Y}",
        lambda: f"{day.day}.{day.month}.{day.year}",
        lambda: f"{day:%b} {day.day}, {day.year}",
        lambda: rng.choice([None, "n/a", "tbd"]),
    ]
    return rng.choices(ways, weights=[40, 20, 15, 10, 12, 3])[0]()


def dirty_text(rng: random.Random, text: str) -> str:
    """Write a name with the case and the blanks of a hurried hand."""
    ways = [text, text.upper(), text.lower(), f" {text}", f"{text}  ", text.replace(" ", "  ")]
    return rng.choices(ways, weights=[60, 10, 12, 7, 7, 4])[0]


def dirty_price(rng: random.Random, price: float) -> object:
    """Write a price as a number, as text with separators, with a currency sign, or not at all."""
    ways: list[object] = [
        price,
        f"{price:,.2f}",
        f"€{price:,.2f}",
        f"{price:,.2f} EUR",
        f"$ {price:,.2f}",
        None,
        "n/a",
    ]
    return rng.choices(ways, weights=[60, 12, 10, 8, 5, 3, 2])[0]


def save_book(book: openpyxl.Workbook, path: Path) -> None:
    """Save without the time of day, which openpyxl puts into the properties and zip into every member."""
    made = io.BytesIO()
    book.save(made)
    with (
        zipfile.ZipFile(made) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for member in source.infolist():
            body = source.read(member)
            if member.filename == "docProps/core.xml":
                body = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2026-03-02T08:00:00Z", body)
            plain = zipfile.ZipInfo(member.filename, (2026, 3, 2, 8, 0, 0))
            target.writestr(plain, body, zipfile.ZIP_DEFLATED, 9)


# The logs: three programs over one week, each with its own format; older access logs are compressed, as logrotate does.


def make_logs(rng: random.Random) -> None:
    """Write the folder of logs."""
    for age, day in enumerate(reversed(DAYS)):
        web = "".join(access_lines(rng, day)).encode()
        name = f"access-{day}.log"
        if age < 3:
            (DATA / "logs" / name).write_bytes(web)
        else:
            (DATA / "logs" / f"{name}.gz").write_bytes(gzip.compress(web, 9, mtime=0))
        (DATA / "logs" / f"app-{day}.log").write_text("".join(app_lines(rng, day)))
    (DATA / "logs" / "worker").mkdir()
    for day in DAYS[-3:]:
        (DATA / "logs" / "worker" / f"jobs-{day}.jsonl").write_text("".join(job_lines(rng, day)))
    (DATA / "logs" / "app.pid").write_text("4711\n")
    (DATA / "logs" / "empty.log").write_text("")


def moments(rng: random.Random, day: date, count: int) -> list[datetime]:
    """Spread moments over a day, most of them in office hours."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    hours = [min(max(rng.gauss(13.5, 4.0), 0.0), 23.99) for _ in range(count)]
    return sorted(start + timedelta(hours=hour) for hour in hours)


def access_lines(rng: random.Random, day: date) -> Iterator[str]:
    """Lines of a web server in its combined format."""
    paths = [
        "/",
        "/login",
        "/api/orders",
        "/api/orders/{}",
        "/static/app.js",
        "/reports/{}.pdf",
        "/healthz",
    ]
    agents = [
        "Mozilla/5.0 (X11; Linux x86_64)",
        "curl/8.5.0",
        "python-httpx/0.28",
        "kube-probe/1.31",
    ]
    bad_hour = rng.randrange(9, 17)
    for moment in moments(rng, day, 650):
        path = rng.choice(paths).format(rng.randrange(1, 999))
        status = rng.choices([200, 304, 404, 403, 500, 502], weights=[80, 8, 6, 2, 2, 2])[0]
        if moment.hour == bad_hour and path.startswith("/api") and rng.random() < 0.4:
            status = 502
        size = 0 if status == 304 else int(rng.lognormvariate(7.5, 1.2))
        verb = rng.choices(["GET", "POST", "DELETE"], weights=[85, 13, 2])[0]
        address = f"10.{rng.randrange(4)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        yield (
            f'{address} - - [{moment:%d/%b/%Y:%H:%M:%S +0000}] "{verb} {path} HTTP/1.1" {status} {size} '
            f'"-" "{rng.choice(agents)}" {rng.lognormvariate(-3, 1):.3f}\n'
        )


TRACEBACKS = [
    """Traceback (most recent call last):
  File "/srv/shop/orders.py", line 218, in reserve
    stock = self.stock[sku]
            ~~~~~~~~~~^^^^^
KeyError: {sku!r}
""",
    """Traceback (most recent call last):
  File "/srv/shop/payment.py", line 74, in charge
    answer = await self.gateway.post("/charges", json=body, timeout=5)
  File "/srv/shop/gateway.py", line 31, in post
    raise GatewayTimeout(f"no answer in {{timeout}} s")
shop.gateway.GatewayTimeout: no answer in 5 s
""",
    """Traceback (most recent call last):
  File "/srv/shop/export.py", line 142, in write_row
    amount = Decimal(row["amount"])
decimal.InvalidOperation: [<class 'decimal.ConversionSyntax'>]
""",
]


def app_lines(rng: random.Random, day: date) -> Iterator[str]:
    """Lines of an application, some of which are followed by a traceback."""
    for moment in moments(rng, day, 260):
        stamp = f"{moment:%Y-%m-%d %H:%M:%S},{moment.microsecond // 1000:03d}"
        level = rng.choices(["DEBUG", "INFO", "WARNING", "ERROR"], weights=[25, 60, 10, 5])[0]
        order = f"SO-{rng.randrange(100000, 100000 + ORDERS)}"
        name = rng.choice(["shop.orders", "shop.payment", "shop.export", "shop.cache"])
        text = {
            "DEBUG": f"cache {rng.choice(['hit', 'miss'])} key=order:{order}",
            "INFO": f"order {order} {rng.choice(['accepted', 'paid', 'packed', 'shipped'])}",
            "WARNING": f"slow query took {rng.uniform(0.8, 6):.2f} s table=orders",
            "ERROR": f"order {order} failed",
        }[level]
        yield f"{stamp} {level:<8} [{name}] {text}\n"
        if level == "ERROR":
            yield rng.choice(TRACEBACKS).format(sku=f"SKU-{rng.randrange(1000, 9999)}")


def job_lines(rng: random.Random, day: date) -> Iterator[str]:
    """One JSON object on each line, and now and then a line that was cut off."""
    for number, moment in enumerate(moments(rng, day, 150)):
        row = {
            "time": moment.isoformat(timespec="milliseconds"),
            "job": rng.choice(["thumbnail", "invoice-pdf", "nightly-export", "reindex"]),
            "seconds": round(rng.lognormvariate(0, 1), 3),
            "ok": rng.random() > 0.06,
        }
        line = json.dumps(row)
        yield line[: len(line) // 2] + "\n" if number == 97 else line + "\n"


# The photographs: painted, with grain and with the metadata that cameras write.


def make_photos(rng: np.random.Generator) -> None:
    """Write eight pictures in three formats, one of them turned by its EXIF orientation only."""
    shapes = [
        (1600, 1067),
        (1280, 960),
        (960, 1280),
        (1500, 1000),
        (1024, 1024),
        (1400, 600),
        (800, 1200),
        (640, 480),
    ]
    names = [
        "harbour.jpg",
        "ridge.jpg",
        "portrait.jpg",
        "dusk.webp",
        "square.png",
        "panorama.jpg",
        "tower.webp",
        "icon.png",
    ]
    for number, (name, size) in enumerate(zip(names, shapes, strict=True)):
        picture = paint(rng, *size)
        path = DATA / "photos" / name
        if path.suffix == ".png":
            # PNG keeps every grain; a palette keeps the file small.
            picture.quantize(64).save(path, optimize=True)
        else:
            picture.save(path, quality=72, exif=camera_data(number, turned=name == "portrait.jpg"))


def paint(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Paint a sky, a sun, three ranges of hills, and grain over all of it."""
    top, bottom = rng.integers(20, 120, 3), rng.integers(120, 250, 3)
    fade = np.linspace(0, 1, height)[:, None, None]
    sky = np.broadcast_to(top * (1 - fade) + bottom * fade, (height, width, 3))
    image = Image.fromarray(sky.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    x, y = (
        int(rng.integers(width // 4, width * 3 // 4)),
        int(rng.integers(height // 5, height // 2)),
    )
    radius = height // 12
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 236, 190))
    for distance in range(3):
        wave, phase = rng.uniform(1.5, 4) * math.tau / width, rng.uniform(0, math.tau)
        base = height * (0.55 + 0.13 * distance)
        ridge = [
            (px, base + height * 0.06 * math.sin(px * wave + phase))
            for px in range(0, width + 8, 8)
        ]
        shade = tuple(int(v) for v in bottom * (0.6 - 0.18 * distance))
        draw.polygon([(0, height), *ridge, (width, height)], fill=shade)
    grain = rng.normal(0, 2.0, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def camera_data(number: int, *, turned: bool) -> Image.Exif:
    """Return what a camera writes into a file."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Lumina"
    exif[ExifTags.Base.Model] = next(
        itertools.islice(itertools.cycle(["X-200", "Pocket 3"]), number, None)
    )
    exif[ExifTags.Base.DateTime] = f"2026:03:{2 + number:02d} 1{number}:24:07"
    exif[ExifTags.Base.Orientation] = 6 if turned else 1
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.FNumber] = 2.8 + number / 2
    details[ExifTags.Base.ExposureTime] = 1 / (60 * (number + 1))
    details[ExifTags.Base.ISOSpeedRatings] = 100 * (number + 1)
    return exif


if __name__ == "__main__":
    main()
