# SPDX-License-Identifier: Apache-2.0
"""Short rounds of the torture as tests. DORMOUSE_SEED=N chooses the moments and messages of an
earlier run again."""

import os
import random
import unittest

import torture

SEED = os.environ.get("DORMOUSE_SEED", str(random.SystemRandom().randrange(1 << 32)))


class Promises(unittest.TestCase):
    def keeps(self, mode, kills):
        """No message lost, none of QoS 2 twice, none overtaken; no device disconnected; each will
        of a dead device published once and none of a living one."""
        with torture.play(mode, kills, f"{SEED} {mode.__name__}") as world:
            ledger = world.ledger
            print(f"{mode.__name__}: {world.kills} kills, {ledger.messages()} messages, "
                  f"{ledger.lost()} lost, {ledger.duplicated()} of QoS 1 duplicated, "
                  f"seed {SEED}", flush=True)
            self.assertEqual(ledger.faults() + ledger.under_way(), [])
            self.assertGreaterEqual(world.kills, kills)

    def loses(self, mode, kills, **sections):
        """The oracle must find something: for disks that lose what was promised."""
        with self.assertRaises(AssertionError):
            with torture.play(mode, kills, f"{SEED} {mode.__name__}", keep=False,
                              **sections) as world:
                self.assertEqual(world.ledger.faults(), [])
