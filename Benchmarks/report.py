"""The table, the JSON and the comparison with thresholds.json."""

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from rows import ROWS, Row

# What a row is a multiple of, as the table names it; else it is the same row on `memory:`.
UNITS = {
    "floor/floor": "x floor",
    "floor/floor-two-threads": "x floor on two",
    "python/ctypes-call": "x call",
}


@dataclass
class Results:
    """Figures by row and round. A round that a row failed in has no entry; `skipped` says why."""

    figures: Dict[str, Dict[int, float]] = field(default_factory=dict)
    skipped: Dict[str, str] = field(default_factory=dict)

    def add(self, row: Row, turn: int, value: float) -> None:
        self.figures.setdefault(row.id, {})[turn] = value

    def values(self, row_id: str) -> List[float]:
        return sorted(self.figures.get(row_id, {}).values())

    def multiples(self, row_id: str, unit: str) -> List[float]:
        """The row over its unit, each of the same round."""
        units = self.figures.get(unit, {})
        return sorted(
            value / units[turn]
            for turn, value in self.figures.get(row_id, {}).items()
            if units.get(turn)
        )


def spread(values: List[float]) -> Tuple[float, float, float]:
    return values[0], statistics.median(values), values[-1]


def number(value: float) -> str:
    if value == int(value) and abs(value) < 1e15 and abs(value) >= 100:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(results: Results, rows: List[Row]) -> str:
    lines: List[List[str]] = []
    groups: List[Tuple[int, str]] = []
    for row in rows:
        values = results.values(row.id)
        if not groups or groups[-1][1] != row.group:
            groups.append((len(lines), row.group))
        if not values:
            lines.append([row.title, f"- ({results.skipped.get(row.id, 'not measured')})"])
            continue
        low, middle, high = spread(values)
        cells = [row.title, number(low), number(middle), number(high), row.measure]
        multiples = results.multiples(row.id, row.unit) if row.unit else []
        if multiples:
            cells += [f"{each:.2f}" for each in spread(multiples)]
            cells.append(UNITS.get(row.unit or "", "x memory"))
        lines.append(cells)
    full = [line for line in lines if len(line) > 2]
    widths = [max((len(line[i]) for line in full if len(line) > i), default=0) for i in range(9)]
    widths[0] = max((len(line[0]) for line in lines), default=0)
    head = ["", "min", "median", "max", "", "min", "median", "max", ""]
    widths = [max(width, len(word)) for width, word in zip(widths, head)]

    def laid_out(cells: List[str]) -> str:
        if len(cells) == 2:
            return f"  {cells[0]:<{widths[0]}}  {cells[1]}"
        return (
            "  "
            + "  ".join(
                f"{cell:<{widths[i]}}" if i in (0, 4, 8) else f"{cell:>{widths[i]}}"
                for i, cell in enumerate(cells)
            ).rstrip()
        )

    text = [laid_out(head)]
    starts = dict(groups)
    for index, line in enumerate(lines):
        if index in starts:
            text.append(starts[index])
        text.append(laid_out(line))
    return "\n".join(text)


@dataclass(frozen=True)
class Verdict:
    ok: bool
    line: str


def check(results: Results, thresholds: Path, rows: List[Row]) -> List[Verdict]:
    """Compares with the thresholds of the chosen rows; one that was not measured fails."""
    verdicts = []
    chosen = {row.id for row in rows}
    for rule in json.loads(thresholds.read_text())["thresholds"]:
        if not chosen.issuperset([rule["row"], *rule.get("slower_of", [])]):
            continue
        value = measured(results, rule)
        what = rule["promise"]
        most, least = rule.get("at_most"), rule.get("at_least")
        below = [name for name in rule.get("below", []) if results.values(name)]
        if value is None or (rule.get("below") and len(below) < len(rule["below"])):
            reason = results.skipped.get(rule["row"], "not measured")
            verdicts.append(Verdict(False, f"FAIL  {what}: {reason}"))
            continue
        bounds = []
        ok = True
        if most is not None:
            ok = ok and value <= most
            bounds.append(f"at most {number(most)}")
        if least is not None:
            ok = ok and value >= least
            bounds.append(f"at least {number(least)}")
        for name in below:
            other = results.values(name)[0]
            ok = ok and value < other
            bounds.append(f"below {name} {number(other)}")
        verdicts.append(
            Verdict(
                ok, f"{'ok  ' if ok else 'FAIL'}  {what}: {number(value)} ({', '.join(bounds)})"
            )
        )
    return verdicts


def measured(results: Results, rule: Dict[str, object]) -> Optional[float]:
    """The least of the rounds for times, which a busy machine only lengthens; else the median."""
    row = str(rule["row"])
    values = results.values(row)
    if "times" in rule:
        values = results.multiples(row, str(rule["times"]))
        return values[0] if values else None
    if "less" in rule:
        others = results.values(str(rule["less"]))
        return values[0] - others[0] if values and others else None
    if "below" in rule:
        return values[0] if values else None
    if "slower_of" in rule:
        # The floor against the slower of its two parts, round by round.
        parts = [str(name) for name in rule["slower_of"]]  # type: ignore[attr-defined]
        values = [
            value / max(results.figures[part][turn] for part in parts)
            for turn, value in results.figures.get(row, {}).items()
            if all(turn in results.figures.get(part, {}) for part in parts)
        ]
    return statistics.median(values) if values else None


def as_json(results: Results, facts: Dict[str, object]) -> str:
    rows = {}
    for row in ROWS:
        values = results.values(row.id)
        if not values:
            continue
        low, middle, high = spread(values)
        entry: Dict[str, object] = {
            "title": row.title.strip(),
            "measure": row.measure,
            "runs": len(values),
            "min": low,
            "median": middle,
            "max": high,
        }
        if row.unit and (multiples := results.multiples(row.id, row.unit)):
            low, middle, high = spread(multiples)
            entry["multiple_of"] = row.unit
            entry["multiple"] = {"min": low, "median": middle, "max": high}
        rows[row.id] = entry
    return json.dumps({**facts, "rows": rows, "skipped": results.skipped}, indent=2) + "\n"
