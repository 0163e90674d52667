# SPDX-License-Identifier: Apache-2.0
"""Power, broker and disk fail under traffic, alone and together with the gateway (design section 1
rules 2 and 3)."""

import torture
from harness import main
from torture_case import Promises


class Outages(Promises):
    def test_thirty_power_failures_lose_nothing(self):
        self.keeps(torture.power, 30)

    def test_sigterm_under_traffic_loses_nothing(self):
        self.keeps(torture.terminate, 8)

    def test_kills_while_the_broker_is_away_lose_nothing(self):
        self.keeps(torture.away, 10)

    def test_gateway_and_broker_ended_at_once_lose_nothing(self):
        self.keeps(torture.both, 5)

    def test_broker_restarts_lose_nothing(self):
        self.keeps(torture.broker, 3)

    def test_killed_broker_loses_only_what_it_had_not_written(self):
        self.keeps(torture.broker_kill, 3)

    def test_broker_without_its_session_gets_everything_again(self):
        self.keeps(torture.wiped, 2)

    def test_full_disk_makes_no_false_promise_and_recovers(self):
        self.keeps(torture.full, 1)

    def test_kills_while_the_disk_is_full_lose_nothing(self):
        self.keeps(torture.full_kill, 2)


class Sight(Promises):
    """The torture finds the losses of a disk that loses what was promised."""

    def test_disk_that_lies_about_fsync_is_found(self):
        self.loses(torture.lying_power, 10)

    def test_power_failure_with_sync_normal_is_found(self):
        self.loses(torture.power, 10, store={"sync": "normal"})


if __name__ == "__main__":
    main()
