# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of the gateway under traffic (design section 1 rules 2 and 3)."""

import torture
from harness import main
from torture_case import Promises


class Kills(Promises):
    def test_two_hundred_kills_of_the_gateway_lose_nothing(self):
        self.keeps(torture.gateway, 200)


if __name__ == "__main__":
    main()
