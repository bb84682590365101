"""What examples/code_mode.py works on: a repository with a month of commits, and a time sheet that is not complete."""

import os
import random
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl

COMMITS = 120
FIRST_DAY = datetime(2026, 10, 1, tzinfo=UTC)
# Hours of the day, in UTC, at which each of them commits; for two of them some are late in the evening.
HABITS = {
    "Ada": [7, 8, 10, 13, 15, 20],
    "Grace": [13, 14, 16, 18, 19, 20],
    "Kiyoshi": [0, 1, 3, 5, 8, 13],
}


def make_repository(folder: Path) -> Path:
    """A month of commits by three people; the same each time."""
    git(folder.parent, "init", "--quiet", str(folder))
    choose = random.Random(7)
    moments = sorted(
        (
            FIRST_DAY
            + timedelta(days=choose.randrange(28), hours=hour, minutes=choose.randrange(60)),
            person,
        )
        for person, hours in HABITS.items()
        for hour in choose.choices(hours, k=COMMITS // len(HABITS))
    )
    for number, (moment, person) in enumerate(moments):
        who = {"NAME": person, "EMAIL": f"{person.lower()}@example.org", "DATE": moment.isoformat()}
        told = {
            f"GIT_{role}_{key}": text
            for role in ("AUTHOR", "COMMITTER")
            for key, text in who.items()
        }
        git(folder, "commit", "--quiet", "--allow-empty", "-m", f"Change {number}", **told)
    return folder


def make_time_sheet(path: Path) -> Path:
    """Hours by person and day; of late work, only Ada has written down some."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "October"
    sheet.append(["person", "day", "hours", "late hours"])
    for person in HABITS:
        for day in range(28):
            late = 2 if person == "Ada" and day % 2 else None
            moment = FIRST_DAY + timedelta(days=day)
            sheet.append([person, moment.date().isoformat(), 8, late])
    book.save(path)
    return path


def git(folder: Path, *arguments: str, **variables: str) -> None:
    """Run git, without anybody's settings."""
    subprocess.run(
        ["git", *arguments],
        cwd=folder,
        check=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **variables,
        },
    )
