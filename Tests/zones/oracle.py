#!/usr/bin/env python3
"""Prints what Python's zoneinfo says about calendar boundaries, for ZoneOracleTests to compare.

    oracle.py DIRECTORY [--zones NAME,NAME…] [--sample K] [--all] [--seed N]
              [--around-transitions K]

DIRECTORY is a zoneinfo directory (fat or slim files), the only one that zoneinfo may look into.
--zones names zones; --sample adds K more at random; --all takes every file of the directory and
every transition. --around-transitions K takes K transitions of each zone at random for the hours
and minutes, and K of those amid an hour or by a part of one. Files with equal bytes are reported
once, as one zone with the others' names behind it.

Output, on stdout: for each zone a line of text, `zone NAMES DAYS WEEKS MONTHS YEARS RUNS`, where
NAMES is separated by commas and the rest are counts; then the boundaries of each unit as
little-endian int64 Unix seconds, ascending, and the runs, three int64 each. At the end a line
`end ZONES NAMES`.

Days: the first instant of each local date from 1970-01-01 to 2101-01-01: midnight with fold=0 or,
where that is missing, the first instant that shows the date; a date that no instant shows has none.
Weeks, months, years: the first existing date of each.

Runs: (FROM, TO, OFFSET) cover the two days before and after each transition; between FROM and TO
zoneinfo gives OFFSET at both ends and at every full UTC hour. FROM or TO is where the offset
changes or where the two days begin or end.
"""
import argparse
import bisect
import hashlib
import os
import random
import struct
import sys
import zoneinfo
from array import array
from datetime import date, datetime, timedelta, timezone

FIRST, LAST = date(1970, 1, 1), date(2101, 1, 1)
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
DATES = [date.fromordinal(n) for n in range(FIRST.toordinal(), LAST.toordinal() + 1)]
MIDNIGHTS = [datetime(d.year, d.month, d.day) for d in DATES]
MIDNIGHTS_AGAIN = [m.replace(fold=1) for m in MIDNIGHTS]
UTC = timezone.utc
NAIVE_EPOCH = datetime(1970, 1, 1)
SECOND = timedelta(seconds=1)


def local(zone, instant):
    """The local date and time that zoneinfo shows at an instant."""
    return datetime.fromtimestamp(instant, zone)


def offset(zone, instant):
    delta = local(zone, instant).utcoffset()
    return delta.days * 86400 + delta.seconds


def first_instant(low, high, holds):
    """The first instant above low, at most high, where holds; it holds at high."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def day_starts(zone):
    """(date, first instant) for every existing date, and coarse spans in which the offset changed."""
    found, changes, previous = [], [], None
    utcoffset = zone.utcoffset
    for day, early, late in zip(DATES, MIDNIGHTS, MIDNIGHTS_AGAIN):
        before, after = utcoffset(early), utcoffset(late)
        number = (day.toordinal() - EPOCH_ORDINAL) * 86400
        instant = number - before.days * 86400 - before.seconds
        if before != after:  # twice or never: PEP 495
            shown = local(zone, instant)
            if shown.replace(tzinfo=None) != early:
                other = number - after.days * 86400 - after.seconds
                low, high = min(instant, other) - 1, max(instant, other)
                instant = first_instant(low, high, lambda t: local(zone, t).date() >= day)
                if local(zone, instant).date() != day:
                    continue  # skipped
        if previous is not None and (before != previous[1] or before != after):
            changes.append((previous[0] - 86400, instant + 86400))
        previous = (instant, after)
        found.append((day, instant))
    return found, changes


def firsts(days, key):
    starts, last = array("q"), None
    for day, instant in days:
        if key(day) != last:
            last = key(day)
            starts.append(instant)
    return starts


def listed_transitions(path):
    """The instants in a TZif file's last block, so that no short-lived offset is overlooked."""
    data = open(path, "rb").read()

    def block(at, size):
        counts = struct.unpack(">6I", data[at + 20 : at + 44])
        utc, standard, leaps, times, types, characters = counts
        end = at + 44 + times * (size + 1) + types * 6 + characters + leaps * (size + 4)
        return times, end + standard + utc

    if data[4:5] < b"2":
        return struct.unpack(f">{block(0, 4)[0]}i", data[44 : 44 + 4 * block(0, 4)[0]])
    second = block(0, 4)[1]
    times, _ = block(second, 8)
    return struct.unpack(f">{times}q", data[second + 44 : second + 44 + 8 * times])


def transitions(zone, path, changes, low, high):
    """Every instant in the range where zoneinfo's offset changes, by listing and by bisection."""
    candidates = {t for t in listed_transitions(path) if low < t < high}
    for start, stop in changes:
        # Offsets by the hour, then bisected: in all but a few days there is just one change.
        last_offset = offset(zone, start)
        for hour in range(start + 3600, stop + 3600, 3600):
            here = offset(zone, hour)
            if here != last_offset:
                candidates.add(
                    first_instant(hour - 3600, hour, lambda t: offset(zone, t) != last_offset))
            last_offset = here
    return sorted(t for t in candidates
                  if low < t < high and offset(zone, t) != offset(zone, t - 1))


def runs(zone, instants, chosen):
    """Stretches of one offset within two days of the chosen transitions, checked by the hour."""
    out, end = array("q"), None
    for transition in chosen:
        start = transition - 2 * 86400
        if end is not None and start < end:
            start = end
        end = transition + 2 * 86400
        left = bisect.bisect_right(instants, start)
        right = bisect.bisect_left(instants, end)
        edges = [start, *instants[left:right], end]
        for low, high in zip(edges, edges[1:]):
            here = offset(zone, low)
            hours = range(low - low % 3600 + 3600, high, 3600)
            if any(offset(zone, t) != here for t in (*hours, high - 1)):
                raise SystemExit(f"{zone}: a transition between {low} and {high} was overlooked")
            out.extend((low, high, here))
    return out


def is_odd(zone, transition):
    before = offset(zone, transition - 1)
    return (transition + before) % 3600 != 0 or (offset(zone, transition) - before) % 3600 != 0


def pick(generator, instants, count):
    return generator.sample(instants, min(count, len(instants)))


def zone_names(directory):
    for folder, folders, files in os.walk(directory):
        if folder == directory:
            folders[:] = [f for f in folders if f not in ("posix", "right", "__pycache__")]
        for file in files:
            path = os.path.join(folder, file)
            with open(path, "rb") as stream:
                if stream.read(4) == b"TZif":
                    yield os.path.relpath(path, directory)


def chosen_names(arguments):
    every = sorted(zone_names(arguments.directory))
    if arguments.all:
        return every
    named = [n for n in arguments.zones.split(",") if n]
    missing = [n for n in named if n not in every]
    if missing:
        raise SystemExit(f"{arguments.directory} lacks {', '.join(missing)}")
    others = [n for n in every if n not in named]
    return named + arguments.random.sample(others, min(arguments.sample, len(others)))


def write(names, arguments, stream):
    path = os.path.join(arguments.directory, names[0])
    with open(path, "rb") as file:
        zone = zoneinfo.ZoneInfo.from_file(file, key=names[0])
    days, changes = day_starts(zone)
    low, high = days[0][1] + 2 * 86400, days[-1][1] - 2 * 86400
    instants = transitions(zone, path, changes, low, high)
    chosen = instants
    if not arguments.all:
        # As many again of those that do not leave a full hour or do not shift whole hours.
        odd = [t for t in instants if is_odd(zone, t)]
        chosen = sorted({
            *pick(arguments.random, instants, arguments.around_transitions),
            *pick(arguments.random, odd, arguments.around_transitions),
        })
    monday = lambda day: day.toordinal() - day.weekday()
    # The first week's Monday is in 1969: its days are left out.
    whole_weeks = [d for d in days if d[0] >= date(1970, 1, 5)]
    parts = [
        firsts(days, lambda day: day),
        firsts(whole_weeks, monday),
        firsts(days, lambda day: (day.year, day.month)),
        firsts(days, lambda day: day.year),
        runs(zone, instants, chosen),
    ]
    counts = [len(p) for p in parts[:4]] + [len(parts[4]) // 3]
    stream.write(f"zone {','.join(names)} {' '.join(map(str, counts))}\n".encode())
    for part in parts:
        if sys.byteorder == "big":
            part.byteswap()
        stream.write(part.tobytes())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--zones", default="")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--around-transitions", type=int, default=3)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.random = random.Random(arguments.seed)
    zoneinfo.reset_tzpath([os.path.abspath(arguments.directory)])
    by_content = {}
    for name in chosen_names(arguments):
        with open(os.path.join(arguments.directory, name), "rb") as file:
            by_content.setdefault(hashlib.sha256(file.read()).digest(), []).append(name)
    stream = sys.stdout.buffer
    for names in by_content.values():
        write(names, arguments, stream)
        stream.flush()
    total = sum(len(names) for names in by_content.values())
    stream.write(f"end {len(by_content)} {total}\n".encode())


if __name__ == "__main__":
    main()
