# SPDX-License-Identifier: Apache-2.0
"""`dormouse fleet`, many simulated devices, against the real gateway and the real broker."""

import os
import select
import signal
import struct
import subprocess

import schema
from device import PtyLink
from harness import BIN, SystemTest, main, spawn, wait_until

OK, BAD, CONNECTION = 0, 1, 2
COUNTS = ("lost", "refused", "unanswered", "open")


class Fleet(SystemTest):
    def fleet(self, *arguments, status=OK):
        done = self.command("fleet", "-p", self.gateway.port, "--json", *arguments)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        found = schema.check_strictly("fleet", done.stdout)
        self.assertEqual(found["ok"], status != BAD)
        return found, {one["qos"]: one for one in found["messages"]}

    def test_every_message_of_active_devices_comes_back(self):
        self.start_gateway()
        found, qos = self.fleet("-n", "30", "-q", "0,1,2", "--period", "0.2", "--duration", "1.5",
                                "--clean", "--size", "100")
        self.assertEqual(found["devices"], 30)
        self.assertEqual(found["connects"], 30)
        self.assertEqual(list(qos), [0, 1, 2])
        for level, one in qos.items():
            self.assertGreaterEqual(one["sent"], 40)
            self.assertEqual(one["received"], one["sent"])
            self.assertEqual(one["acknowledged"], one["sent"] if level else 0)
            self.assertEqual([one[count] for count in (*COUNTS, "twice")], [0] * 5)
            times = one["latency_us"]
            self.assertEqual(times["count"], one["received"])
            self.assertLessEqual(times["p50"], times["p90"])
            self.assertLessEqual(times["p90"], times["p99"])
            self.assertLessEqual(times["p99"], times["max"])
        self.assertEqual(self.gateway.sessions(), {})

    def test_sleepers_get_everything_over_a_lossy_link(self):
        self.start_gateway()
        found, qos = self.fleet("-n", "12", "-q", "1,2", "--sleep", "1", "--period", "1",
                                "--duration", "2", "--loss", "10", "--retry", "0.3", "--retries",
                                "8", "--prefix", "night", "--seed", "7")
        self.assertEqual(found["seed"], 7)
        for one in qos.values():
            self.assertGreater(one["sent"], 5)
            self.assertEqual(one["lost"], 0)
        self.assertGreater(found["awake_us"]["count"], 12)
        self.assertGreaterEqual(found["awake_us"]["max"], 300_000)  # a loss took --retry
        self.assertEqual(set(self.gateway.sessions()), {f"night-{i}" for i in range(1, 13)})

    def test_copy_of_a_qos_2_message_is_an_error(self):
        self.start_gateway()
        copier = self.broker.client()
        copier.subscribe("fleet/#", qos=2)
        process = spawn([BIN / "dormouse", "fleet", "-p", self.gateway.port, "--json", "-n", "1",
                         "-q", "2", "--period", "0.2", "--duration", "1"],
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        copier.publish(*copier.receive()[0], qos=2)
        found = schema.check_json("fleet", process.communicate(timeout=30)[0])
        self.assertEqual(process.returncode, BAD)
        self.assertEqual((found["ok"], found["messages"][0]["twice"]), (False, 1))

    def test_acknowledged_message_that_stays_away_is_an_error(self):
        rules = self.directory / "acl"
        rules.write_text("topic write fleet/#\n")
        with open(self.broker.config, "a") as config:
            config.write(f"\nacl_file {rules}\n")
        self.broker.kill()
        self.broker.start()
        self.start_gateway()
        _, qos = self.fleet("-n", "3", "-q", "0,1", "--period", "0.3", "--duration", "1",
                            "--drain", "0.5", status=BAD)
        self.assertGreater(qos[1]["acknowledged"], 0)
        self.assertEqual((qos[1]["received"], qos[1]["lost"]), (0, qos[1]["acknowledged"]))

    def test_interrupt_ends_in_order_with_the_table(self):
        self.start_gateway()
        process = spawn([BIN / "dormouse", "fleet", "-p", self.gateway.port, "-n", "5", "-q", "1,2",
                         "--period", "0.2", "--duration", "600", "--clean", "--size", "50"],
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        wait_until(lambda: len(self.gateway.sessions()) == 5, "five devices are there")
        for number in (4, 5):  # one with each QoS has sent
            watcher = self.broker.client()
            watcher.subscribe(f"fleet/{number}")
            message = watcher.receive()[0][1]
            _, index, count = struct.unpack(">III", message[:12])
            self.assertEqual(len(message), 50)
            self.assertEqual(index, number - 1)
            self.assertGreater(count, 0)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, OK, out)
        lines = out.splitlines()
        self.assertEqual(lines[0].split()[:5], ["QOS", "SENT", "ACKED", "RECEIVED", "LOST"])
        self.assertEqual([line.split()[0] for line in lines[1:3]], ["1", "2"])
        self.assertIn("connects: 5 accepted", out)
        self.assertIn("every promise was kept", lines[-1])
        self.assertEqual(self.gateway.sessions(), {})

    def test_devices_that_are_refused_are_counted(self):
        self.start_gateway(sessions={"max_clients": 2})
        found, _ = self.fleet("-n", "4", "--period", "0.3", "--duration", "1", "--clean")
        self.assertEqual(found["connects"], 2)
        self.assertGreaterEqual(found["connects_refused"], 2)

    def test_nodes_on_a_serial_line(self):
        gateway_end, fleet_end = self.pty("barn", "slip"), PtyLink(self.directory / "tty-fleet")
        self.addCleanup(fleet_end.close)
        self.start_gateway()
        self.wait_link("barn")
        process = spawn([BIN / "dormouse", "fleet", "--serial", fleet_end.path, "--framing", "slip",
                         "--json", "-n", "8", "-q", "0,1,2", "--period", "0.3", "--duration", "1"],
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        ends = {gateway_end.master: fleet_end.master, fleet_end.master: gateway_end.master}

        def carried():
            for fd in select.select(list(ends), [], [], 0)[0]:
                os.write(ends[fd], os.read(fd, 4096))
            return process.poll() is not None
        wait_until(carried, "the fleet has ended")
        found = schema.check_json("fleet", process.communicate()[0])
        self.assertEqual((process.returncode, found["ok"], found["connects"]), (OK, True, 8))
        for one in found["messages"]:
            self.assertGreater(one["sent"], 3)
            self.assertEqual(one["received"], one["sent"])
        self.assertEqual({one["address"].rpartition(":")[0] for one in self.gateway.sessions().values()},
                         {"serial:barn"})

    def test_gateway_that_is_not_there_is_no_success(self):
        self.gateway.port = self.ports.take()
        found, _ = self.fleet("-n", "2", "--duration", "0.5", "--drain", "0", status=CONNECTION)
        self.assertEqual((found["connects"], found["messages"]), (0, []))


if __name__ == "__main__":
    main()
