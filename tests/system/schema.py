# SPDX-License-Identifier: Apache-2.0
"""What programs read from the gateway is what docs/schema says. check_json(name, text) is all that a
test needs; `name` is one of $defs in any of the files, none of which refers to another one."""

import functools
import json
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "docs/schema"
OPTIONAL = {"rssi", "lqi", "snr", "topic_id", "own_certificate_ends", "certificate_ends"}
# Members that are one of a few words.
WORDS = {"kind", "state", "made_by", "event", "progress", "direction", "exchange", "bus", "level"}


def unique_members(pairs):
    members = dict(pairs)
    if len(members) < len(pairs):
        raise AssertionError(f"members stand there twice: {[name for name, _ in pairs]}")
    return members


def parse(text):
    """JSON, in which no member of an object may stand twice."""
    return json.loads(text, object_pairs_hook=unique_members)


def files():
    return {path: parse(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


@functools.cache
def validator(name):
    import jsonschema  # here, since whoever checks nothing does without it
    (schema,) = (schema for schema in files().values() if name in schema["$defs"])
    return jsonschema.Draft202012Validator({**schema, "$ref": f"#/$defs/{name}"})


def faults(name, value):
    """Empty: the value is as the schema says."""
    return [f"{name}/{'/'.join(map(str, error.absolute_path))}: {error.message}"
            for error in validator(name).iter_errors(value)]


def check_json(name, text):
    """Returns what the text means."""
    value = parse(text)
    found = faults(name, value)
    assert not found, "\n".join(found)
    return value


def mutants(value, path=""):
    """(what was changed, the value with that): all that a schema must refuse."""
    yield f"{path} is of another type", [] if value is None else 7 if isinstance(value, str) else "?"
    if isinstance(value, dict):
        yield f"{path} has one more member", {**value, "unexpected": 1}
        for name, member in value.items():
            if name not in OPTIONAL:
                yield f"{path}/{name} is missing", {k: v for k, v in value.items() if k != name}
            if name in WORDS and isinstance(member, str):
                yield f"{path}/{name} is another word", {**value, name: "?"}
            for what, changed in mutants(member, f"{path}/{name}"):
                yield what, {**value, name: changed}
    elif isinstance(value, list) and value:
        for what, changed in mutants(value[0], f"{path}/0"):
            yield what, [changed, *value[1:]]


def check_strictly(name, text):
    """The schema takes this, and nothing that is a little different."""
    value = check_json(name, text)
    passed = [what for what, changed in mutants(value) if not faults(name, changed)]
    assert not passed, f"{name}: the schema takes it although {passed}"
    return value
