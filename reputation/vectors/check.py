"""Computes every score of scores.json anew, from the formulas in PROTOCOL.md ("Reputation") alone, and compares.

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
FILE = pathlib.Path(__file__).with_name("scores.json")
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


def assess(evidence, now):
    known = [e for e in evidence if e["at_ms"] <= now + AHEAD]
    today = max([now // DAY] + [e["at_ms"] // DAY for e in known])
    layers = {"quality": [], "success": [], "review": []}
    for e in known:
        day = e["at_ms"] // DAY
        if today // HALF_LIFE - day // HALF_LIFE > HORIZON:
            continue
        if "rating" in e:
            layers["review"].append((weight(day), e["rating"]))
            continue
        layers["success"].append((weight(day), MARKS[e["outcome"]]))
        if "quality" in e:
            layers["quality"].append((weight(day), e["quality"]))
    means = {}
    for name, list_ in layers.items():
        total = sum(w for w, _ in list_)
        means[name] = int(Fraction(sum(w * m for w, m in list_), total) * 10_000) if list_ else None
    of = {"quality": 30, "success": 40, "review": 30}
    there = [name for name in of if means[name] is not None]
    score = sum(means[n] * of[n] for n in there) // sum(of[n] for n in there) if there else 500_000
    receipts = min(10**12, int(Fraction(sum(w for w, _ in layers["success"]) * 10**6, weight(today))))
    shown = score // 100
    level = "novice" if shown <= 5000 else "intermediate" if shown < 7500 else "expert" if shown < 9000 else "master"
    text = f"{shown // 100}.{shown % 100:02}"
    return {"score": score, "shown": text, "level": level, "lower": lower_bound(score, receipts)} | means | {
        "receipts_micro": receipts
    }


def main():
    vectors = json.loads(FILE.read_text())
    for vector in vectors:
        computed = assess(vector["evidence"], vector["now_ms"])
        if "--write" in sys.argv:
            vector["expected"] = computed
        elif vector["expected"] != computed:
            sys.exit(f"{vector['name']}: expected {vector['expected']}, computed {computed}")
    if "--write" in sys.argv:
        FILE.write_text("[\n" + ",\n".join(json.dumps(vector) for vector in vectors) + "\n]\n")
    print(f"{len(vectors)} vectors")


main()
