# SPDX-License-Identifier: Apache-2.0
"""The long torture: round after round of what torture.py does, counted. See scripts/torture."""

import argparse
import random
import sys
import time

import torture

# Kills in one round of each mode.
KILLS = {"gateway": 100, "power": 60, "terminate": 20, "away": 25, "both": 10, "broker": 5,
         "broker-kill": 5, "wiped": 4, "full": 3, "full-kill": 5}
COLUMNS = "{:>5} {:12} {:>6} {:>9} {:>5} {:>11} {:>8} {:>9} {:>8}"
HEAD = ("round", "killed", "kills", "messages", "lost", "duplicated", "refused", "by broker",
        "seconds")
SELF_CHECK = ((torture.lying_power, {}), (torture.power, {"store": {"sync": "normal"}}))
SELF_CHECK_KILLS = 15
FAULTS_SHOWN = 12    # of each round


class Totals:
    def __init__(self):
        self.rounds = self.kills = self.messages = self.lost = self.duplicated = 0
        self.refused = self.by_broker = self.faults = 0

    def add(self, world):
        ledger = world.ledger
        self.kills += world.kills
        self.messages += ledger.messages()
        self.lost += ledger.lost()
        self.duplicated += ledger.duplicated()
        self.refused += ledger.congested
        self.by_broker += ledger.lost_by_broker() + ledger.repeated_by_broker()

    def row(self):
        return (self.kills, self.messages, self.lost, self.duplicated, self.refused,
                self.by_broker)


def say(*fields):
    print(COLUMNS.format(*fields), flush=True)


def one_round(number, name, seed, totals):
    started = time.monotonic()
    own = Totals()
    faults = []
    try:
        with torture.play(torture.MODES[name], KILLS[name], seed) as world:
            own.add(world)
            totals.add(world)
            faults = world.ledger.faults() + world.ledger.under_way()
            assert not faults, "a promise was broken"
    except AssertionError as error:
        faults = faults or [str(error)]
    say(number, name, *own.row(), f"{time.monotonic() - started:.0f}")
    for fault in faults[:FAULTS_SHOWN]:
        print(f"      BROKEN: {fault}", flush=True)
    totals.faults += len(faults)


def sees_losses(mode, sections, seed):
    """Does the oracle find what is lost on a disk that loses it?"""
    try:
        with torture.play(mode, SELF_CHECK_KILLS, seed, keep=False, **sections) as world:
            assert not world.ledger.faults(), world.ledger.faults()[0]
    except AssertionError as error:
        print(f"self check: {mode.__name__} {sections or ''} was found: {error}", flush=True)
        return True
    print(f"self check: {mode.__name__} {sections or ''} was NOT found", flush=True)
    return False


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/torture", description="Kills the gateway, the broker, the power and the disk "
        "under traffic, and counts what is lost. Exit status 1 if anything is.")
    parser.add_argument("--kills", type=int, help="end after so many (default: by time)")
    parser.add_argument("--minutes", type=float, default=10, help="end after that (default 10)")
    parser.add_argument("--seed", type=int, help="chooses moments, messages and survivors")
    parser.add_argument("--kill", default=",".join(KILLS), metavar="WHAT,...",
                        help="of: " + ", ".join(KILLS))
    parser.add_argument("--no-self-check", action="store_true",
                        help="leave out the proof that losses would be seen")
    found = parser.parse_args()
    found.kill = found.kill.split(",")
    for name in found.kill:
        if name not in KILLS:
            parser.error(f"unknown: {name}")
    return found


def main():
    wanted = arguments()
    seed = wanted.seed if wanted.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}; again: scripts/torture --seed {seed} --kill {','.join(wanted.kill)}",
          flush=True)
    totals = Totals()
    if not wanted.no_self_check:
        totals.faults += sum(not sees_losses(mode, sections, f"{seed} check")
                             for mode, sections in SELF_CHECK)
    say(*HEAD)
    started = time.monotonic()
    number = 0
    while not number or (totals.kills < wanted.kills if wanted.kills else
                         time.monotonic() - started < wanted.minutes * 60):
        name = wanted.kill[number % len(wanted.kill)]
        number += 1
        one_round(number, name, f"{seed} round {number} {name}", totals)
    say("total", "", *totals.row(), f"{time.monotonic() - started:.0f}")
    print(f"{totals.faults} broken promises" if totals.faults else "no promise was broken")
    sys.exit(1 if totals.faults else 0)


if __name__ == "__main__":
    main()
