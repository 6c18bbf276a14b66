"""Whether the time of a refusal tells who is a user: an unknown name beside a wrong password.

Logins in turns, in random order, each with a password that was never sent; over one connection,
with the limits of guesses switched off. Two samples are told apart, if at all, by Welch's t and
by the share of pairs in which the one took longer than the other (0.5: no difference; a
permutation test says how often chance alone does as much).
"""

from __future__ import annotations

import argparse
import base64
import http.client
import random
import subprocess
import time
from statistics import fmean, median, variance

from benchmarks.report import Figure, parser, say, show
from benchmarks.server import PYPICLOUD, Server, environment, serve, temporary_folder

KNOWN = "known-user"
KINDS = ("wrong password", "unknown user", "disabled user")
SHUFFLES = 2000


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--logins", type=int, default=150, help="of each kind (150)")
    arguments.add_argument("--seed", type=int, default=1, help="of the order (1)")
    chosen = arguments.parse_args()
    with temporary_folder() as folder:
        variables = environment(folder)
        for name in (KNOWN, "disabled-user"):
            _command(variables, "user", "add", name, "--password-stdin", given="right, but long")
        _command(variables, "user", "disable", "disabled-user")
        with serve(
            folder, default_read="authenticated", limits__logins="0", limits__all_logins="0"
        ) as server:
            times = _times(server, chosen)
    figures = [Figure(f"{kind}, median", median(times[kind]) * 1000, "ms") for kind in KINDS]
    for kind in KINDS[1:]:
        figures += _compared(kind, times[KINDS[0]], times[kind], random.Random(chosen.seed))
    show("login_timing", figures, as_json=chosen.json)


def _times(server: Server, chosen: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds that each refusal took."""
    chance = random.Random(chosen.seed)
    order = [kind for kind in KINDS for _ in range(chosen.logins)]
    chance.shuffle(order)
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    say(f"{len(order)} logins")
    for number, kind in enumerate(["wrong password"] * 10 + order):
        name = {"wrong password": KNOWN, "disabled user": "disabled-user"}.get(kind, "")
        name = name or f"nobody-{chance.getrandbits(40):x}"
        sent = base64.b64encode(f"{name}:guess {number} of many".encode()).decode()
        began = time.perf_counter()
        connection.request("GET", "/simple/", headers={"Authorization": f"Basic {sent}"})
        answer = connection.getresponse()
        answer.read()
        took = time.perf_counter() - began
        if answer.status != 401:
            raise SystemExit(f"{kind}: {answer.status}")
        if number >= 10:  # the first ones warm what is made once
            times[kind].append(took)
    connection.close()
    return times


def _compared(
    kind: str, known: list[float], other: list[float], chance: random.Random
) -> list[Figure]:
    share = _share(known, other)
    both, more = known + other, 0
    for _ in range(SHUFFLES):
        chance.shuffle(both)
        cut = _share(both[: len(known)], both[len(known) :])
        more += abs(cut - 0.5) >= abs(share - 0.5)
    spread = (variance(known) / len(known) + variance(other) / len(other)) ** 0.5
    return [
        Figure(f"{kind} beside a wrong password, t", (fmean(other) - fmean(known)) / spread, ""),
        Figure(f"{kind}, longer in", share, "of pairs", "0.5"),
        Figure(f"{kind}, by chance as much", more / SHUFFLES, "of shuffles", "above 0.01"),
    ]


def _share(known: list[float], other: list[float]) -> float:
    """Of all pairs, that in which the other took longer; by ranks."""
    ranked = sorted([(value, 0) for value in known] + [(value, 1) for value in other])
    ranks = sum(rank for rank, (_, of_other) in enumerate(ranked, 1) if of_other)
    return (ranks - len(other) * (len(other) + 1) / 2) / (len(known) * len(other))


def _command(variables: dict[str, str], *arguments: str, given: str = "") -> None:
    subprocess.run(
        [PYPICLOUD, *arguments],
        env=variables,
        input=given,
        text=True,
        check=True,
        capture_output=True,
        cwd=variables["HOME"],
    )


if __name__ == "__main__":
    main()
