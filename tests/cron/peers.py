"""Compares when cron expressions fire with two other implementations, around every change of the clocks.

usage: peers.py CRON_NEXT

Docket's side is the example `cron_next` of crates/contract. The rules that it follows when the clocks change stand in
crates/contract/src/cron/mod.rs: expressions that restrict the hour follow the clock on the wall, the others elapsed time.
The two peers take different roads to the same answer:

cronsim (with the zones of Python) has both rules as well, but chooses by how an expression is spelled: elapsed time if its
minute or hour begins with a star or if it has seconds. `spelled` says the same without a star, or with one, so that it
chooses as Docket does. It forgets which of two showings of an hour a search began in, so it is asked from before the
change on, and later starts are compared with the rest of that answer. It knows neither W nor the wall's rule for seconds.
By elapsed time it jumps from one minute to the next that is wanted, and so passes over slots behind a change of less than
an hour; and where the clock is put back at 00:01 it walks in a circle. It is not asked about these: see `is_for_cronsim`.

croniter is asked for the calendar only, in UTC, and `placed` brings what it says into the zone by Docket's rules, with
the zones of Python. (Its own rule is another: it drops slots of a gap or moves them by the length of the gap.)

Every answer of Docket must be equal to that of each peer that is asked. Who is not asked about what stands in EXPRESSIONS.
"""

import bisect
import concurrent.futures
import functools
import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

UTC = timezone.utc
FROM, TO = 2020, 2030
# croniter is slow: of these years it is asked about some, about all years of ZONES,
# and about whatever cronsim can't tell.
CRONITER_YEARS = (2020, 2023, 2026, 2029)

# The zone, and the years in the past whose changes are worth more than the present ones.
ZONES = {
    "UTC": (),
    "Europe/Zurich": (),
    "Europe/London": (),
    "Europe/Dublin": (),  # winter time as negative daylight-saving time
    "Europe/Lisbon": (),
    "Europe/Volgograd": (),  # a change of standard time
    "Atlantic/Azores": (),  # back from 01:00 to midnight
    "America/New_York": (),
    "America/Los_Angeles": (),
    "America/St_Johns": (2009, 2010, 2011),  # half past; changed at 00:01
    "America/Sao_Paulo": (2017, 2018, 2019),  # a gap at midnight
    "America/Caracas": (2007, 2016),  # half an hour, for good
    "America/Havana": (),  # a gap at midnight, and back from 01:00 to midnight
    "America/Nuuk": (),  # back from midnight to 23:00 of the day before
    "America/Asuncion": (),
    "America/Santiago": (),
    "Africa/Cairo": (),
    "Africa/Casablanca": (),  # back for Ramadan
    "Africa/Juba": (),
    "Asia/Beirut": (),
    "Asia/Gaza": (),
    "Asia/Jerusalem": (),
    "Asia/Kathmandu": (),  # no change; 45 minutes
    "Asia/Kolkata": (),
    "Asia/Tehran": (),
    "Asia/Pyongyang": (2015, 2018),
    "Australia/Lord_Howe": (),  # half an hour
    "Australia/Sydney": (),
    "Antarctica/Troll": (),  # two hours
    "Pacific/Apia": (2010, 2011, 2012),  # a day that was not
    "Pacific/Auckland": (),
    "Pacific/Chatham": (),  # at 02:45
    "Pacific/Norfolk": (),
}

# Docket's expression; its spelling for cronsim and for croniter: "" for the same, None where the peer does not know it.
EXPRESSIONS = [
    # By elapsed time.
    ("* * * * *", "", ""),
    ("*/15 * * * *", "", ""),
    ("0 * * * *", "", ""),
    ("30 0-23 * * *", "30 * * * *", ""),
    ("5/20 * * * *", "5-59/20 * * * *", ""),
    ("1,29,31,59 */1 * * *", "1,29,31,59 * * * *", ""),
    ("@hourly", "0 * * * *", ""),
    ("*/10 * * * SUN", "", ""),
    ("0 * 1-7 * *", "", ""),
    ("*/30 * L * *", "", ""),
    ("30 */20 * * * *", "", ""),
    # By the clock on the wall.
    ("0 0 * * *", "", ""),
    ("30 0 * * *", "", ""),
    ("1 0 * * *", "", ""),
    ("0 1 * * *", "", ""),
    ("30 1 * * *", "", ""),
    ("0 2 * * *", "", ""),
    ("30 2 * * *", "", ""),
    ("59 2 * * *", "", ""),
    ("0 3 * * *", "", ""),
    ("30 23 * * *", "", ""),
    ("0,30 0-4 * * *", "", ""),
    ("*/15 2 * * *", "0-59/15 2 * * *", ""),
    ("* 2-3 * * *", "0-59 2-3 * * *", ""),
    ("0 */2 * * *", "0 0-23/2 * * *", ""),
    ("*/20 */3 * * *", "0-59/20 0-23/3 * * *", ""),
    ("45 22-23,0-1 * * *", "", ""),
    ("0 2 * * 1-5", "", ""),
    ("30 2 * * SUN", "", ""),
    ("30 2 * * FRI-SUN", "30 2 * * 5-7", "30 2 * * 5-7"),
    ("15 2 * 3,10 7", "", ""),
    ("@daily", "0 0 * * *", ""),
    ("@weekly", "0 0 * * 0", ""),
    ("@monthly", "0 0 1 * *", ""),
    ("@yearly", "0 0 1 1 *", ""),
    ("30 2 L * *", "", ""),
    ("30 2 LW * *", "", None),
    ("30 2 15W * *", None, ""),
    ("30 2 1W * *", None, ""),
    # In months of fewer days croniter takes their last day for the 31st; Docket, like Quartz, leaves them out.
    ("30 2 31W 1,3,5,7,8,10,12 ?", None, "30 2 31W 1,3,5,7,8,10,12 *"),
    ("30 2 * * 0#2", "", ""),
    ("30 2 * * SUN#5", "", ""),
    ("30 2 * * 7L", "", "30 2 * * L0"),
    ("30 2 * * 5L", "", "30 2 * * L5"),
    ("30 2 1,15 * MON", "", ""),
    ("30 2 */7 * *", "", ""),
    ("0 2 28-31/2 2 *", "", ""),
    ("0 6 29 2 *", "", ""),
    ("0 0 31 * *", "", ""),
    ("30 30 2 * * *", None, ""),
    ("15,45 59 0-2 * * *", None, ""),
]

# With these croniter is so slow that it is asked only about what cronsim can't tell.
SLOW = ("* * * * *",)

# Starts, in seconds from a change of the clocks; the first is the one from which the peers walk.
STARTS = [-5400, -3600, -1800, -1, 0, 1, 900, 1800, 3600, 5400]
AHEAD = 3


def by_elapsed_time(expression):
    if expression.startswith("@"):
        return expression == "@hourly"
    hours = expression.split()[-4]
    return hours in ("*", "*/1", "0-23")


@functools.cache
def changes(name):
    """The seconds since the epoch at which the offset changes, in the years asked for; the middle of a year if never."""
    zone = ZoneInfo(name)
    offset = lambda at: datetime.fromtimestamp(at, zone).utcoffset()
    found = []
    for year in sorted({*ZONES[name], *range(FROM, TO + 1)}):
        low, end = (int(datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (year, year + 1))
        while low < end:
            high = low + 43200
            if offset(low) != offset(high):
                a, b = low, high
                while b - a > 1:
                    middle = (a + b) // 2
                    a, b = (middle, b) if offset(middle) == offset(a) else (a, middle)
                found.append(b)
            low = high
    return found or [int(datetime(year, 7, 1, tzinfo=UTC).timestamp()) for year in (FROM, TO)]


@functools.cache
def is_for_cronsim(name, change, elapsed):
    """Whether cronsim can go through a change of the clocks."""
    before, after = (datetime.fromtimestamp(change - second, ZoneInfo(name)).utcoffset() for second in (1, 0))
    whole = (after - before) % timedelta(hours=1) == timedelta(0)
    return (whole or not elapsed) and (change + before.total_seconds()) % 900 == 0


def cronsim_times(spelling, name, start, until):
    """What cronsim says by itself: every time behind `start` up to `until`, and AHEAD more."""
    beyond = 0
    for time in CronSim(spelling, datetime.fromtimestamp(start, ZoneInfo(name))):
        at = int(time.timestamp())
        yield at
        beyond += at > until
        if beyond == AHEAD:
            return


@functools.cache
def calendar(spelling):
    """What croniter reads; reading it costs more than many answers."""
    return croniter(spelling, 0, second_at_beginning=True)


@functools.lru_cache(4096)
def calendar_hour(spelling, hour):
    """The slots of an hour by the calendar of croniter, and the hour of the next slot behind it."""
    times = calendar(spelling)
    times.set_current(hour.replace(tzinfo=UTC) - timedelta(seconds=1), force=True)
    found = []
    while (slot := times.get_next(datetime).replace(tzinfo=None)) < hour + timedelta(hours=1):
        found.append(slot)
    return found, slot.replace(minute=0, second=0)


def placed(slot, zone, elapsed):
    """When a slot of the wall's calendar fires: Docket's rules."""
    first, second = (slot.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    shown = [at for at in (first, second) if at.astimezone(zone).replace(tzinfo=None) == slot]
    if elapsed:
        return sorted({int(at.timestamp()) for at in shown})
    if shown:
        return [int(shown[0].timestamp())]
    # In a gap: read by the offset behind the change it lies before it, and the other way round.
    low, high = int(second.timestamp()), int(first.timestamp())
    before = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return [high]


def croniter_times(spelling, name, start, until, elapsed):
    """croniter's calendar, placed in the zone: every time behind `start` up to `until`, and AHEAD more."""
    zone = ZoneInfo(name)
    wall = lambda at: datetime.fromtimestamp(at, zone).replace(tzinfo=None)
    # No clock is put back further; what is shown twice may come behind what is shown once.
    slack = timedelta(hours=2)
    low, high = wall(start) - slack, wall(until) + slack
    hour = low.replace(minute=0, second=0)
    found, beyond = set(), 0
    while True:
        slots, following = calendar_hour(spelling, hour)
        for slot in slots:
            if slot > high and beyond >= AHEAD:
                found = sorted(found)
                return found[: bisect.bisect_right(found, until) + AHEAD]
            found.update(at for at in placed(slot, zone, elapsed) if at > start)
            if beyond < AHEAD:
                beyond, high = sum(at > until for at in found), max(high, slot + slack)
        hour = following


def compare(program, name):
    """Asks about a zone; answers how many times were equal for each peer, and the answers that were not."""
    starts = [change + start for change in changes(name) for start in STARTS]
    questions = [
        json.dumps({"cron": expression, "zone": name, "after": start, "count": AHEAD})
        for expression, *_ in EXPRESSIONS
        for start in starts
    ]
    done = subprocess.run([program], input="\n".join(questions), stdout=subprocess.PIPE, text=True, check=True)
    answers = map(json.loads, done.stdout.splitlines())
    equal, different = {"cronsim": 0, "croniter": 0, "nobody": 0}, []
    for expression, sim, ter in EXPRESSIONS:
        assert sim is not None or ter is not None, f"nobody is asked about {expression}"
        for change in changes(name):
            first, last = change + STARTS[0], change + STARTS[-1]
            elapsed, year = by_elapsed_time(expression), datetime.fromtimestamp(change, UTC).year
            peers = {}
            if sim is not None and is_for_cronsim(name, change, elapsed):
                peers["cronsim"] = list(cronsim_times(sim or expression, name, first, last))
            wanted = year in ZONES[name] + CRONITER_YEARS and expression not in SLOW
            if ter is not None and (not peers or wanted):
                peers["croniter"] = croniter_times(ter or expression, name, first, last, elapsed)
            for start in STARTS:
                ours = next(answers)
                equal["nobody"] += not peers
                for peer, times in peers.items():
                    at = bisect.bisect_right(times, change + start)
                    theirs = times[at : at + AHEAD]
                    if ours == theirs:
                        equal[peer] += len(ours)
                    else:
                        different.append((peer, name, expression, change + start, ours, theirs))
    return len(starts), equal, different


def main(program):
    with concurrent.futures.ProcessPoolExecutor() as pool:
        found = list(pool.map(functools.partial(compare, program), ZONES))
    different = [answer for _, _, answers in found for answer in answers]
    for peer, name, expression, start, ours, theirs in different[:20]:
        zone = ZoneInfo(name)
        shown = lambda times: [datetime.fromtimestamp(at, zone).isoformat() for at in times]
        ours = shown(ours) if isinstance(ours, list) else ours
        print(f"{peer}: {expression} in {name} after {shown([start])[0]}: {ours}, not {shown(theirs)}")
    if different:
        sys.exit(f"cron-peers: {len(different)} answers differ")
    starts = sum(count for count, _, _ in found)
    equal = {peer: sum(counts[peer] for _, counts, _ in found) for peer in ("cronsim", "croniter", "nobody")}
    print(
        f"cron-peers: {len(ZONES)} zones × {len(EXPRESSIONS)} expressions × {starts // len(ZONES)} starts a zone: "
        f"{equal['cronsim']} fire times equal to cronsim's, {equal['croniter']} to croniter's calendar in the zone; "
        f"{equal['nobody']} answers that neither can tell"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
