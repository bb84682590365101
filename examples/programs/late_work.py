import asyncio
import os
import re
from collections import Counter
from datetime import datetime

# Who committed what, and when: some text for each commit.
log = git.git_log(repo_path=os.environ["REPOSITORY"], max_count=500)
commits = re.findall(r"Author: (\w+)\nDate: (\S+ \S+)", log)

# At what time of theirs? One call for each commit, side by side.
zones = {person: office.time_zone(person) for person, _ in commits}


async def local_hour(person, moment):
    at = datetime.fromisoformat(moment)
    told = await clock.convert_time(
        source_timezone="UTC", time=f"{at:%H:%M}", target_timezone=zones[person]
    )
    return person, f"{at:%Y-%m-%d}", datetime.fromisoformat(told["target"]["datetime"]).hour


hours = await asyncio.gather(*(local_hour(*commit) for commit in commits))
late = Counter((person, day) for person, day, hour in hours if hour >= 20 or hour < 6)

# What of it is in the time sheet? It comes in pages.
rows, following = [], None
while True:
    page = excel.read_range(path="hours.xlsx", sheet="October", max_cells=100, **({"range": following} if following else {}))
    rows += page["values"]
    following = page.get("next_range")
    if not following:
        break
written = {(row[0], row[1][:10]) for row in rows[1:] if len(row) > 3 and row[3]}

for person in sorted(zones):
    missing = sorted(day for who, day in late if who == person and (who, day) not in written)
    print(f"{person}: {sum(1 for who, _ in late if who == person)} late days, {len(missing)} not written down")
    if missing:
        office.send_message(to=person, text=f"Late work on {', '.join(missing[:3])} and more is not in the sheet")
