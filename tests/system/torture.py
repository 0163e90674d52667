# SPDX-License-Identifier: Apache-2.0
"""What is done to a gateway under traffic, one function for each way; counting and the report."""

import contextlib
import json
import pathlib
import shutil
import tempfile
import time

import harness
import powerloss
from world import World

LIFE_S = (0.005, 0.4)         # of a gateway, from its first answer
UNBORN_S = (0.0, 0.1)         # or from its start, which it may not survive
UNBORN_SHARE = 0.15
CALM_EVERY = 60               # kills; then a pause in which devices are found dead
CALM_S = 3.6
TMPFS_MB = 24                 # room for the database, its log and its reserve
FULL_S = 2.0
GATEWAY_SUBSCRIBED = ": dormouse-test "   # in the log of Mosquitto, before QoS and filter


def kill_and_start(world):
    """One kill of the gateway, wherever it is, and the next start."""
    if world.random.random() < UNBORN_SHARE:
        world.run(world.random.uniform(*UNBORN_S))
    else:
        world.wait_serving()
        world.run(world.random.uniform(*LIFE_S))
    if world.kills % CALM_EVERY == CALM_EVERY - 1:
        world.run(CALM_S)
    world.kill_gateway()
    world.launch()


def gateway(world, kills):
    """SIGKILL at random moments of commits, deliveries and handshakes."""
    for _ in range(kills):
        kill_and_start(world)


def terminate(world, kills):
    """SIGTERM under traffic: what is committed is said, and the end comes soon."""
    for _ in range(kills):
        world.wait_serving()
        world.run(world.random.uniform(*LIFE_S))
        world.kills += 1
        took = world.stop_gateway()
        if took > harness.WAIT_S:
            world.ledger.violation(f"SIGTERM took {took:.1f} s")
        world.launch()


def away(world, kills):
    """The gateway is killed several times while the broker is away, and its spool fills."""
    while kills > 0:
        world.stop_broker()
        for _ in range(min(kills, 5)):
            kill_and_start(world)
        kills -= 5
        world.start_broker()
        world.run(world.random.uniform(0.5, 2.0))


def broker(world, kills):
    """The broker is ended in order (SIGTERM: it saves what it acknowledged) and comes back."""
    for _ in range(kills):
        world.run(world.random.uniform(0.1, 1.0))
        world.stop_broker()
        world.kills += 1
        world.run(world.random.uniform(0.0, 0.6))
        world.start_broker()
        world.wait_connected()


def both(world, kills):
    """Gateway and broker end at once; they come back in any order."""
    for _ in range(kills):
        world.wait_serving()
        world.run(world.random.uniform(*LIFE_S))
        world.kill_gateway()
        world.stop_broker()
        starts = [world.launch, world.start_broker]
        world.random.shuffle(starts)
        for start in starts:
            start()
            world.run(world.random.uniform(0.0, 0.3))
        world.wait_connected()


def broker_kill(world, kills):
    """SIGKILL of the broker. It acknowledges before it writes (docs/mosquitto.conf), so what it
    acknowledged less than promise.BROKER_WRITES_S before is its own to lose, or to send twice."""
    for _ in range(kills):
        world.run(world.random.uniform(0.5, 3.0))
        world.ledger.broker_killed()
        world.broker.kill()
        world.kills += 1
        world.run(world.random.uniform(0.0, 0.6))
        world.start_broker()
        world.wait_connected()


def wiped(world, kills):
    """The broker comes back without any session. What it held then is lost with it, so it holds
    nothing; what devices publish meanwhile is the gateway's, and so are its subscriptions."""
    for _ in range(kills):
        world.run(world.random.uniform(0.2, 1.0))
        world.rest()
        world.hold_downlink = True
        world.stop_broker()
        world.broker.forget_all()
        world.run(world.random.uniform(0.5, 1.5))
        world.kill_gateway()
        world.launch()
        world.wait_serving()
        known = world.broker.text().count(GATEWAY_SUBSCRIBED)
        with world.gateway.paused():   # the watcher subscribes first
            world.start_broker()
            world.run_until(world.peers_online, "the broker is back")
        world.run_until(lambda: world.broker.text().count(GATEWAY_SUBSCRIBED) - known
                        >= len(world.filters()), "the gateway has subscribed again")
        world.hold_downlink = False


class Balloon:
    """A file that takes the rest of a small file system."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "wb", buffering=0)

    def fill(self):
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    self.file.write(bytes(size))

    def burst(self):
        self.file.close()
        self.path.unlink()


def is_degraded(world):
    done = harness.run([harness.BIN / "dormouse", "--socket", world.gateway.socket, "--json",
                        "status"])
    return done.returncode == 0 and json.loads(done.stdout)["store"]["degraded"]


def fill_disk(world):
    """Until the gateway says that it is degraded. The reserve that it gives up is taken, too. The
    write-ahead log takes no more room once it is long, so the gateway begins with a short one."""
    world.wait_serving()
    world.stop_gateway()
    world.launch()
    world.wait_serving()
    balloon = Balloon(world.gateway.state / "balloon")
    balloon.fill()
    world.run_until(lambda: is_degraded(world), "the gateway says that it is degraded")
    balloon.fill()
    return balloon


def free_disk(world, balloon):
    balloon.burst()
    world.run_until(lambda: not is_degraded(world), "the gateway has recovered by itself")


def full(world, kills):
    """The disk is full under traffic; more is promised only when there is room again."""
    for _ in range(kills):
        world.run(world.random.uniform(0.2, 1.0))
        balloon = fill_disk(world)
        world.kills += 1
        until = time.monotonic() + FULL_S
        while time.monotonic() < until:
            balloon.fill()
            world.run(0.1)
        free_disk(world, balloon)


def full_kill(world, kills):
    """SIGKILL while the disk is full. A gateway that cannot start then is started again, as
    systemd does."""
    for _ in range(kills):
        world.run(world.random.uniform(0.2, 1.0))
        balloon = fill_disk(world)
        world.run(world.random.uniform(0.0, 0.5))
        world.kill_gateway()
        balloon.fill()
        world.launch()
        world.run(world.random.uniform(0.2, 1.0))
        balloon.burst()
        if world.gateway.ended() is not None:
            world.reap_gateway()
            world.launch()
        world.wait_serving()


def cut_power(world, disk, lying=False):
    world.kill_gateway()
    disk.fail(lying)
    disk.begin()
    world.launch()


def watch_disk(world):
    """From now on the gateway runs with the shim in front of its disk."""
    log = world.directory / "powerloss.log"
    state = world.gateway.state.resolve()
    disk = powerloss.Disk(state, log, world.random.random())
    world.gateway.environment.update(powerloss.environment(state, log))
    world.kill_gateway()
    disk.begin()
    world.launch()
    return disk


def power(world, kills, lying=False):
    """The power fails: of what was not synced, some is there and some is not."""
    disk = watch_disk(world)
    for _ in range(kills):
        if world.random.random() < UNBORN_SHARE:
            world.run(world.random.uniform(*UNBORN_S))
        else:
            world.wait_serving()
            world.run(world.random.uniform(*LIFE_S))
        cut_power(world, disk, lying)


def lying_power(world, kills):
    """As `power`, with a disk that has not synced what it says it has: no gateway can keep its
    promises on it. For the proof that the torture would see it."""
    power(world, kills, lying=True)


MODES = {mode.__name__.replace("_", "-"): mode
         for mode in (gateway, terminate, away, broker, both, broker_kill, wiped, full, full_kill,
                      power)}


class Small:
    """A state directory with a small file system of its own, which ends with this process."""

    def __init__(self, path):
        self.path = path
        path.mkdir(mode=0o700)
        harness.in_own_mount_namespace()
        harness.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m,mode=700", "none", path],
                    check=True)

    def close(self):
        harness.run(["umount", "-l", self.path], check=True)


@contextlib.contextmanager
def play(mode, kills, seed, keep=True, **sections):
    """One round of a mode, from the first CONNECT to rest. Yields the world for the verdict; with
    `keep` its directory stays if the verdict raises."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="dm-torture-"))
    world = World(directory, seed, broker_saves=mode is broker_kill, **sections)
    small = Small(world.gateway.state) if mode in (full, full_kill) else None
    try:
        world.begin()
        mode(world, kills)
        world.rest()
        yield world
        world.close()
        keep = False
    except BaseException:
        world.abandon()
        if keep:
            print(f"seed {seed}: the logs of both processes are in {directory}", flush=True)
        raise
    finally:
        if small is not None:
            small.close()
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
