import asyncio
import os
import re
from collections import Counter
from datetime import datetime

# Who committed what, and when: some text for each commit.
log = git.git_log(repo_path=os.environ["REPOSITORY"], max_count=500)
commits = re.findall(r"Author: (\w+)\nDate: (\S+ \S+)", log)

# At what time of theirs? One call for each commit, side by side.
zones = {person: office.time_zone(person) for person in {person for person, _ in commits}}


async def local_hour(person, moment):
    at = datetime.fromisoformat(moment)
    told = await clock.convert_time(
        source_timezone="UTC", time=f"{at:%H:%M}", target_timezone=zones[person]
    )
    return person, f"{at:%Y-%m-%d}", datetime.fromisoformat(told["target"]["datetime"]).hour


hours = await asyncio.gather(*(local_hour(*commit) for commit in commits))
late = Counter((person, day) for person, day, hour in hours if hour >= 20 or hour < 6)

# What of it is in the time sheet? It comes in pages.
page = excel.read_range(path="hours.xlsx", sheet="October", max_cells=100)
rows = page["values"]
while "next_range" in page:
    page = excel.read_range(
        path="hours.xlsx", sheet="October", max_cells=100, range=page["next_range"]
    )
    rows += page["values"]
written = {(row[0], row[1][:10]) for row in rows[1:] if len(row) > 3 and row[3]}

for person in sorted(zones):
    missing = sorted(day for who, day in late if who == person and (who, day) not in written)
    days = sum(who == person for who, _ in late)
    print(f"{person}: worked late on {days} days, {len(missing)} of them are not in the sheet")
    if missing:
        office.send_message(to=person, text=f"late work not in the sheet: {', '.join(missing)}")
