"""Makes the data that the worked tasks are about: always the same, so that their tokens are always the same."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

ORDERS = 1_000
CUSTOMERS = 500
TICKETS = 1_000
PARAGRAPHS = 120

_COUNTRIES = ("Brazil", "Canada", "Japan", "Kenya", "Norway")
_SUBJECTS = ("The parcel", "My order", "The second invoice", "This lamp", "The replacement")
_TROUBLES = (
    "has not arrived after two weeks",
    "came with a broken hinge",
    "was charged twice on my card",
    "is not the colour that the page shows",
    "stopped working on the third day",
)
_WISHES = (
    "Please refund the full amount.",
    "Please send a new one before Friday.",
    "Can somebody call me about it?",
    "I would like to know what to do next.",
)
_WORDS = """
    the a of in to and with for from over under before after river stone harbour winter market bridge letter garden
    window engine signal paper morning council survey budget measure report valley archive teacher journey quiet
    narrow early common public heavy distant careful northern steady carries holds follows reaches opens repeats
    crosses settles explains measures returns gathers describes
"""

# A story that has to be read commit by commit: (author, subject, file, text).
_COMMITS = (
    ("Ada", "Begin the shop", "shop/tax.py", "RATE = 0.19\n"),
    (
        "Ada",
        "Round totals to cents",
        "shop/total.py",
        "def total(net):\n    return round(net, 2)\n",
    ),
    ("Grace", "Read settings from a file", "shop/settings.py", "RATES = {'books': 0.07}\n"),
    (
        "Linus",
        "Tidy up constants",
        "shop/tax.py",
        "# moved here from settings\nRATE = 0.16\nBOOKS = 0.07\n",
    ),
    ("Grace", "Describe the tax rules", "README.md", "# Shop\n\nBooks have a rate of their own.\n"),
    (
        "Ada",
        "Use the rate for books",
        "shop/total.py",
        "def total(net, rate):\n    return round(net * (1 + rate), 2)\n",
    ),
)


def make(folder: Path) -> None:
    """Put everything there, but for what only a server can write."""
    chance = random.Random(7)
    _make_database(folder / "shop.db", chance)
    (folder / "customers.csv").write_text("\n".join(_customers(chance)), encoding="utf-8")
    (folder / "report.html").write_text("\n".join(_report(chance)), encoding="utf-8")
    _make_repository(folder / "repo")


def commits(folder: Path) -> list[str]:
    """Hashes of the repository's commits, the first one first."""
    log = _git(folder / "repo", "log", "--reverse", "--format=%H")
    return log.split()


def _make_database(path: Path, chance: random.Random) -> None:
    orders = [
        (number, chance.randint(1, CUSTOMERS), chance.randint(500, 90_000))
        for number in range(1, ORDERS + 1)
    ]
    tickets = [
        (number, chance.choice(("open", "closed")), _complaint(chance))
        for number in range(1, TICKETS + 1)
    ]
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INT, cents INT)")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", orders)
        database.execute("CREATE TABLE tickets (id INTEGER PRIMARY KEY, status TEXT, text TEXT)")
        database.executemany("INSERT INTO tickets VALUES (?, ?, ?)", tickets)
    database.close()


def _complaint(chance: random.Random) -> str:
    subject, trouble, wish = map(chance.choice, (_SUBJECTS, _TROUBLES, _WISHES))
    return f"{subject} {trouble}. {wish}"


def _customers(chance: random.Random) -> Iterator[str]:
    yield "id,name,country"
    for number in range(1, CUSTOMERS + 1):
        yield f"{number},Customer {chance.randint(1000, 9999)},{chance.choice(_COUNTRIES)}"


def _report(chance: random.Random) -> Iterator[str]:
    yield "<html><head><title>Report</title></head><body><h1>Report</h1>"
    for number in range(1, PARAGRAPHS + 1):
        if number % 10 == 1:
            yield f"<h2>Part {number // 10 + 1}</h2>"
        yield f"<p>{' '.join(_sentence(chance) for _ in range(6))}</p>"
    yield "</body></html>"


def _sentence(chance: random.Random) -> str:
    return " ".join(chance.choices(_WORDS.split(), k=14)).capitalize() + "."


def _make_repository(folder: Path) -> None:
    folder.mkdir()
    _git(folder, "init", "--quiet", "--initial-branch", "main")
    for number, (author, subject, name, text) in enumerate(_COMMITS, 1):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        _git(folder, "add", "--all")
        _git(folder, "commit", "--quiet", "-m", subject, author=author, day=number)


def _git(folder: Path, *arguments: str, author: str = "Nobody", day: int = 1) -> str:
    moment = f"2026-03-{day:02} 12:00:00 +0000"
    who = {
        f"GIT_{role}_{what}": text
        for role in ("AUTHOR", "COMMITTER")
        for what, text in (("NAME", author), ("EMAIL", f"{author.lower()}@example.org"), ("DATE", moment))
    }  # fmt: skip
    # Nobody's own settings: a signature or a hook would make other commits.
    env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], env=env, check=True, capture_output=True, text=True
    )
    return done.stdout
