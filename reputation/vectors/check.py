"""Computes every score of scores.json and of viewed.json anew, from the formulas in PROTOCOL.md ("Reputation") alone, and
compares.

python3 check.py            ends 0 when all agree, 1 with the first that does not
python3 check.py --write    writes the expected numbers (a change of the protocol)
"""

import json
import pathlib
import sys
from decimal import Decimal, getcontext
from fractions import Fraction
from math import isqrt

getcontext().prec = 60
FOLDER = pathlib.Path(__file__).parent
DAY, HALF_LIFE, HORIZON, AHEAD = 86_400_000, 90, 16, 300_000
MARKS = {"on_time": 100, "late": 50, "rejected": 0, "lapsed": 0, "failed": 0}
Z = 1_959_964
TABLE = [int((Decimal(2) ** 24 * Decimal(2) ** (Decimal(f) / 90)).to_integral_value()) for f in range(HALF_LIFE)]


def weight(day):
    return TABLE[day % HALF_LIFE] * 2 ** (day // HALF_LIFE)


def lower_bound(score, receipts):
    n, p, m = min(receipts, 10**12), score, 10**6
    square = Z * Z * (n * p * (m - p) + Z * Z // 4 * m)
    lower = max(0, n * p + Z * Z // 2 - isqrt(square) // 1000 - 1) * m // (n * m + Z * Z)
    # The plain formula, to 60 digits.
    n, p, z = Decimal(n) / 10**6, Decimal(p) / 10**6, Decimal(Z) / 10**6
    exact = (n * p + z * z / 2 - z * (n * p * (1 - p) + z * z / 4).sqrt()) / (n + z * z)
    assert abs(Decimal(lower) - exact * 10**6) < 2, (lower, exact)
    return lower


def known(evidence, now):
    return [e for e in evidence if e["at_ms"] <= now + AHEAD]


def day_of(evidence, now):
    return max([now // DAY] + [e["at_ms"] // DAY for e in evidence])


def sums(evidence, today):
    """Weights, and marks times weights, by layer, in units of 2^-24 of today's period shifted by the horizon."""
    layers = {"quality": [0, 0], "success": [0, 0], "review": [0, 0]}
    for e in evidence:
        day, times = e["at_ms"] // DAY, e.get("times", 1)
        age = today // HALF_LIFE - day // HALF_LIFE
        if age > HORIZON:
            continue
        faded = times * TABLE[day % HALF_LIFE] << HORIZON - age
        marks = {"review": e.get("rating"), "success": MARKS.get(e.get("outcome")), "quality": e.get("quality")}
        for name, mark in marks.items():
            if mark is not None:
                layers[name][0] += faded
                layers[name][1] += faded * mark
    return layers


def score_of(layers, unit):
    means = {name: marks * 10_000 // total if total else None for name, (total, marks) in layers.items()}
    of = {"quality": 30, "success": 40, "review": 30}
    there = [name for name in of if means[name] is not None]
    score = sum(means[n] * of[n] for n in there) // sum(of[n] for n in there) if there else 500_000
    receipts = min(10**12, layers["success"][0] * 10**6 // unit)
    shown = score // 100
    level = "novice" if shown <= 5000 else "intermediate" if shown < 7500 else "expert" if shown < 9000 else "master"
    text = f"{shown // 100}.{shown % 100:02}"
    return {"score": score, "shown": text, "level": level, "lower": lower_bound(score, receipts)} | means | {
        "receipts_micro": receipts
    }


def assess(evidence, now):
    evidence = known(evidence, now)
    today = day_of(evidence, now)
    layers = sums(evidence, today)
    # The plain formula, without periods and shifts.
    for name, (total, marks) in layers.items():
        plain = [(weight(e["at_ms"] // DAY), e) for e in evidence if today // HALF_LIFE - e["at_ms"] // DAY // HALF_LIFE <= HORIZON]
        mark = {"quality": lambda e: e.get("quality"), "success": lambda e: MARKS.get(e.get("outcome")), "review": lambda e: e.get("rating")}[name]
        plain = [(w, mark(e)) for w, e in plain if mark(e) is not None]
        assert not total and not plain or Fraction(marks, total) == Fraction(sum(w * m for w, m in plain), sum(w for w, _ in plain))
    return score_of(layers, TABLE[today % HALF_LIFE] << HORIZON)


def view(homes, now):
    eighths = [8 if home.get("own") else min(home["settled"], 8) for home in homes]
    evidence = [known(home["evidence"], now) for home in homes]
    today = max([now // DAY] + [day_of(list_, now) for list_, w in zip(evidence, eighths) if w])
    unit = TABLE[today % HALF_LIFE] << HORIZON
    all_ = [sums(list_, today) for list_ in evidence]
    masses = [layers["success"][0] * w for layers, w in zip(all_, eighths)]
    own = sum(mass for mass, home in zip(masses, homes) if home.get("own"))
    others = sorted(mass for mass, home in zip(masses, homes) if not home.get("own"))
    total, most = max(own, 8 * 8 * unit), None
    for at, mass in enumerate(others):
        parts = 5 - (len(others) - at)
        if parts > 0 and total // parts < mass:
            most = total // parts
            break
        total += mass
    counted, shares = {name: [0, 0] for name in ("quality", "success", "review")}, []
    for home, layers, w, mass in zip(homes, all_, eighths, masses):
        cut = not home.get("own") and most is not None and mass > most
        fraction = (most << 32) // mass if cut else 1 << 32
        for name, values in layers.items():
            for i in (0, 1):
                counted[name][i] += values[i] * w * fraction >> 32
        shares.append({
            "receipts_micro": layers["success"][0] * 10**6 // unit,
            "counted_micro": (layers["success"][0] * w * fraction >> 32) * 10**6 // (8 * unit),
        })
    return score_of(counted, 8 * unit) | {"shares": shares}


def check(name, compute):
    file = FOLDER / name
    vectors = json.loads(file.read_text())
    for vector in vectors:
        computed = compute(vector)
        if "--write" in sys.argv:
            vector["expected"] = computed
        elif vector["expected"] != computed:
            sys.exit(f"{vector['name']}: expected {vector['expected']}, computed {computed}")
    if "--write" in sys.argv:
        file.write_text("[\n" + ",\n".join(json.dumps(vector) for vector in vectors) + "\n]\n")
    print(f"{name}: {len(vectors)} vectors")


def main():
    check("scores.json", lambda vector: assess(vector["evidence"], vector["now_ms"]))
    check("viewed.json", lambda vector: view(vector["homes"], vector["now_ms"]))


main()
