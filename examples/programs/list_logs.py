# Which log files are there, and what went wrong in them? Only the last three days and only files with content.
import gzip
import re
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

LOGS = Path("/data/logs")


def day_of(path):
    found = re.search(r"(\d{4})-(\d\d)-(\d\d)", path.name)
    return date(*map(int, found.groups())) if found else None


def read(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", errors="replace") as file:
        return file.read()


files = sorted(p for p in LOGS.rglob("*") if p.is_file())
dated = [(day_of(p), p) for p in files if day_of(p)]
newest = max(day for day, _ in dated)
recent = [p for day, p in dated if day > newest - timedelta(days=3) and p.stat().st_size > 0]

print(f"{len(files)} files, {sum(p.stat().st_size for p in files):,} bytes; {len(recent)} of them from the last three days")
for path in recent:
    print(f"  {str(path.relative_to(LOGS)):<32} {path.stat().st_size:>8,} bytes {read(path).count(chr(10)):>6,} lines")

# Server errors by hour, all days, compressed ones included.
hours = Counter()
paths = Counter()
line = re.compile(r'\[(?P<day>[^:]+):(?P<hour>\d\d):.*?\] "\S+ (?P<path>\S+) [^"]*" (?P<status>\d{3}) ')
for path in (p for p in files if p.name.startswith("access-")):
    for hit in line.finditer(read(path)):
        if hit["status"].startswith("5"):
            hours[hit["day"], hit["hour"]] += 1
            paths[re.sub(r"\d+", "N", hit["path"])] += 1
(day, hour), count = hours.most_common(1)[0]
print(f"\n{sum(hours.values())} server errors; the worst hour was {day} {hour}:00 with {count}")
print("most often at", ", ".join(f"{path} ({n})" for path, n in paths.most_common(3)))

# The last line of each traceback says what it was.
errors = Counter()
for path in (p for p in files if p.name.startswith("app-")):
    for last in re.findall(r"^Traceback \(most recent call last\):\n(?: .*\n)+(\S.*)$", read(path), re.M):
        errors[last.split(":")[0]] += 1
print("\ntracebacks:", ", ".join(f"{name} x{n}" for name, n in errors.most_common()))
