# SPDX-License-Identifier: Apache-2.0
"""What programs read from the gateway is what the schema says."""

import json


def unique_members(pairs):
    members = dict(pairs)
    if len(members) < len(pairs):
        raise AssertionError(f"members stand there twice: {[name for name, _ in pairs]}")
    return members


def parse(text):
    """JSON, in which no member of an object may stand twice."""
    return json.loads(text, object_pairs_hook=unique_members)
