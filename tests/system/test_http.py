# SPDX-License-Identifier: Apache-2.0
"""The HTTP server of the daemon: status page, API, events, metrics, health, and what strangers may
not do with it."""

import contextlib
import http.client
import os
import re
import resource
import shutil
import socket
import time
import unittest
import urllib.parse

import mqttsn as sn
import schema
from harness import BIN, ROOT, SystemTest, main, run, wait_until

TOKEN = "a-token-for-tests"
HEADERS = {
    "Content-Security-Policy":
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
SAMPLE = re.compile(r'(dormouse_[a-z0-9_]+)(\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')
PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool")


class Stream:
    """Server-sent events."""

    def __init__(self, port, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.response = http.client.HTTPResponse(self.socket)

    def begin(self):
        self.response.begin()
        return self

    def event(self):
        """(name, data), or (None, None) for a heartbeat."""
        name = data = None
        while True:
            line = self.response.readline()
            assert line, "the stream ended"
            line = line.decode().rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = schema.parse(line[6:])
            elif not line:
                return name, data

    def until(self, condition):
        deadline = time.monotonic() + 20
        while True:
            name, data = self.event()
            if condition(name, data):
                return data
            assert time.monotonic() < deadline, f"not among the events; the last: {name} {data}"

    def close(self):
        self.response.close()
        self.socket.close()


class Http(SystemTest):
    def start(self, token=None, online=True, **keys):
        self.port = self.ports.take()
        keys.setdefault("http", f"127.0.0.1:{self.port}")
        if token is not None:
            keys["token_file"] = self.token_file(token)
        return self.start_gateway(online, control=keys)

    def token_file(self, token, mode=0o600):
        path = self.directory / "token"
        path.write_text(token + "\n")
        path.chmod(mode)
        return path

    def ask(self, path, method="GET", body=None, seconds=30, **headers):
        """(status, headers, text)"""
        peer = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        try:
            peer.request(method, path, body, headers)
            answer = peer.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            peer.close()

    def json(self, path, expected=200, **how):
        status, headers, text = self.ask(path, **how)
        self.assertEqual(status, expected, text)
        self.assertEqual(headers["Content-Type"], "application/json")
        return schema.parse(text)

    def raw(self, octets, seconds=30):
        """What is answered until the connection ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as peer:
            answer = b""
            with contextlib.suppress(ConnectionError):
                peer.sendall(octets)
                while chunk := peer.recv(65536):
                    answer += chunk
            return answer

    def stream(self, **how):
        stream = Stream(self.port, **how)
        self.addCleanup(stream.close)
        return stream

    def samples(self):
        """{name with labels: value} of /metrics, each line of which must be right."""
        status, headers, text = self.ask("/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        found, types, helped = {}, {}, set()
        for line in text.splitlines():
            if line.startswith("# HELP "):
                helped.add(line.split()[2])
            elif line.startswith("# TYPE "):
                name, kind = line.split()[2:]
                self.assertNotIn(name, types, "one family stands in one place")
                types[name] = kind
                self.assertEqual(name.endswith("_total"), kind == "counter", line)
                current = name
            else:
                match = SAMPLE.fullmatch(line)
                self.assertIsNotNone(match, line)
                self.assertEqual(match[1], current, "a sample stands behind its TYPE")
                self.assertNotIn(match[1] + (match[2] or ""), found)
                found[match[1] + (match[2] or "")] = float(match[4])
        self.assertEqual(helped, set(types))
        return found


class Answers(Http):
    """Each path, and what it must be equal to."""

    def test_status_is_that_of_the_control_socket(self):
        self.start()
        over_http, control = self.json("/api/v1/status"), self.gateway.status()
        self.assertEqual(over_http.keys(), control.keys())
        for key in ("pid", "name", "sessions", "queue", "spool"):
            self.assertEqual(over_http[key], control[key])
        self.assertEqual([link.keys() for link in over_http["links"]],
                         [link.keys() for link in control["links"]])

    def test_sessions_are_those_of_the_control_socket(self):
        self.start()
        self.device("pump").connect().subscribe("a/b")
        self.device("fan").connect()
        over_http = self.json("/api/v1/sessions")["sessions"]
        for session in [*over_http, *(control := self.gateway.ask("sessions")["sessions"])]:
            self.assertIsInstance(session.pop("last_contact_ms"), int)
        self.assertEqual(over_http, control)

    def test_sessions_are_chosen_by_the_query(self):
        self.start()
        for name in ("pump-1", "pump-2", "Pump-3", "fan"):
            self.device(name).connect()
        sleeper = self.device("pump-4").connect()
        sleeper.sleep(600)

        def ids(query):
            answer = self.json(f"/api/v1/sessions?{query}")
            return [one["client_id"] for one in answer["sessions"]], answer["total"]
        self.assertEqual(ids("filter=pump"), (["pump-1", "pump-2", "Pump-3", "pump-4"], 4))
        self.assertEqual(ids("filter=pump&limit=2"), (["pump-1", "pump-2"], 4))
        self.assertEqual(ids("filter=pump&limit=2&offset=3"), (["pump-4"], 4))
        self.assertEqual(ids("filter=pump&offset=3"), (["pump-4"], 4))
        self.assertEqual(ids("state=asleep"), (["pump-4"], 1))
        self.assertEqual(ids("state=asleep&filter=fan"), ([], 0))
        self.assertEqual(ids("filter=%66an"), (["fan"], 1))
        self.assertEqual(ids("limit=0"), ([], 5))
        for query in ("state=happy", "limit=-1", "limit=x", "offset=1e3", "limit=1000000"):
            self.assertIn(query.split("=")[0], self.json(f"/api/v1/sessions?{query}", 400)["error"])

    def test_one_session_is_found_by_its_encoded_id(self):
        self.start()
        name = "a/b ?#%ä"
        self.device(name).connect()
        path = "/api/v1/sessions/" + urllib.parse.quote(name, safe="")
        for suffix, command in (("", "show"), ("/queue", "queue")):
            control = self.gateway.ask(command, client_id=name)
            if control == {"error": "unknown command"}:
                self.json(path + suffix, 404)
                continue
            over_http = self.json(path + suffix)
            self.assertEqual(over_http.keys(), control.keys())
            self.assertIn("error", self.json("/api/v1/sessions/nobody" + suffix, 404))
        self.json("/api/v1/sessions/%zz", 400)
        self.json("/api/v1/sessions/a%00b", 400)
        self.json("/api/v1/sessions/a/b", 404)
        self.json("/api/v1/sessions/", 404)

    def test_health_tells_of_the_broker_but_does_not_need_it(self):
        self.start()
        self.assertEqual(self.ask("/healthz")[::2], (200, "ok\n"))
        self.broker.kill()
        self.gateway.wait_broker("waiting")
        status, _, text = self.ask("/healthz")
        self.assertEqual(status, 200)
        self.assertRegex(text, "^ok, but the broker is away: .+\n$")

    def test_health_fails_while_the_disk_takes_nothing(self):
        launch = [BIN / "dormoused", "-d", "-c", self.gateway.file]
        self.gateway.launch = lambda: self.gateway.spawn(launch, restore_signals=False)
        self.start()  # SIGXFSZ is ignored, as it is in Python
        device = self.device("d").connect()
        pid = self.gateway.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        device.send(sn.disconnect(600))  # must be recorded before it is answered
        status, _, text = wait_until(
            lambda: (answer := self.ask("/healthz"))[0] == 503 and answer, "unhealthy")
        self.assertRegex(text, "^store degraded: .+\n$")
        store = schema.check_json("status", self.gateway.ask_text("status"))["store"]
        self.assertEqual((store["degraded"], store["error"] != ""), (True, True))
        resource.prlimit(pid, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_until(lambda: self.ask("/healthz")[0] == 200, "healthy again")

    def test_page_and_its_files_are_served_with_a_tag(self):
        self.start()
        index = ROOT / "web"
        for file in index.iterdir():
            status, headers, text = self.ask(f"/{file.name}")
            self.assertEqual((status, text), (200, file.read_text()))
            self.assertEqual(headers["Cache-Control"], "no-cache")
            tag = headers["ETag"]
            status, headers, text = self.ask(f"/{file.name}", If_None_Match=tag)
            self.assertEqual((status, text, headers["ETag"]), (304, "", tag))
        status, headers, text = self.ask("/")
        self.assertEqual(text, (index / "index.html").read_text())
        self.assertEqual(headers["Content-Type"], "text/html; charset=utf-8")
        self.assertEqual(self.ask("/", If_None_Match='"other"')[0], 200)

    def test_every_answer_has_the_protecting_headers_and_none_of_cors(self):
        self.start()
        for path in ("/", "/metrics", "/healthz", "/api/v1/status", "/none",
                     "/api/v1/sessions/x/forget", "/api/v1/sessions/nobody"):
            _, headers, _ = self.ask(path, Origin="http://evil.example")
            self.assertEqual({key: headers[key] for key in HEADERS}, HEADERS, path)
            self.assertFalse([key for key in headers if key.startswith("Access-Control")])

    def test_head_has_the_length_and_no_body(self):
        self.start()
        for path in ("/", "/metrics", "/api/v1/sessions", "/none"):
            status, headers, text = self.ask(path, "HEAD")
            got = self.ask(path)
            self.assertEqual((status, text), (got[0], ""))
            self.assertAlmostEqual(int(headers["Content-Length"]), len(got[2].encode()), delta=50)
        answer = self.raw(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertTrue(answer.endswith(b"\r\n\r\n"))
        answer = self.raw(b"HEAD /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b"text/event-stream", answer)

    def test_wrong_methods_are_refused(self):
        self.start(TOKEN)
        for method, path, allowed in (("POST", "/api/v1/status", "GET, HEAD"),
                                      ("POST", "/", "GET, HEAD"),
                                      ("GET", "/api/v1/sessions/x/forget", "POST")):
            status, headers, _ = self.ask(path, method)
            self.assertEqual((status, headers["Allow"]), (405, allowed))
        for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"):
            self.assertGreaterEqual(self.ask("/", method)[0], 400)


class Metrics(Http):
    def test_metrics_follow_what_happens(self):
        self.start()
        before = self.samples()
        device = self.device("d").connect()
        device.publish(device.register("up"), b"x")
        device.sleep(600)
        after = self.samples()
        self.assertEqual(after['dormouse_sessions{state="asleep"}'], 1)
        self.assertEqual(after["dormouse_uplink_messages_total"], 1)
        self.assertEqual(after["dormouse_broker_connected"], 1)
        for name in ("dormouse_store_commits_total", "dormouse_broker_sent_bytes_total",
                     'dormouse_link_received_datagrams_total{link="lan",kind="udp"}'):
            self.assertGreater(after[name], before[name])
        self.assertNotIn("dormouse_link_nodes", "".join(after), "there is no serial port")

    def test_metrics_of_serial_ports_have_their_own(self):
        self.pty("barn")
        self.start()
        self.wait_link("barn")
        found = self.samples()
        self.assertEqual(found['dormouse_link_up{link="barn",kind="serial"}'], 1)
        self.assertEqual(
            found['dormouse_link_receive_errors_total{link="barn",kind="serial",reason="gap"}'], 0)
        self.assertNotIn('dormouse_link_nodes{link="lan",kind="udp"}', found)

    def test_metrics_are_those_of_the_documentation(self):
        self.pty("barn")
        self.start()
        page = (ROOT / "docs/api.md").read_text()
        self.assertEqual(set(re.findall(r"^\| `(dormouse_\w+)`", page, re.M)),
                         {name.partition("{")[0] for name in self.samples()})

    @unittest.skipUnless(PROMTOOL, "no promtool: see scripts/packages")
    def test_promtool_finds_nothing(self):
        self.pty("barn")
        self.start()
        done = run([PROMTOOL, "check", "metrics"], input=self.ask("/metrics")[2])
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


class Events(Http):
    def test_state_comes_at_once_and_when_a_device_connects(self):
        self.start()
        stream = self.stream().begin()
        self.assertEqual(stream.response.headers["Content-Type"], "text/event-stream")
        name, status = stream.event()
        self.assertEqual((name, status.keys()), ("status", self.gateway.status().keys()))
        self.assertEqual(stream.event(), ("sessions", []))
        self.device("newcomer").connect()
        status = stream.until(lambda name, data: name == "status" and data["sessions"]["active"])
        self.assertEqual(status["sessions"]["total"], 1)
        name, sessions = stream.event()
        self.assertEqual((name, [one["client_id"] for one in sessions]), ("sessions", ["newcomer"]))

    def test_events_come_once_a_second_at_most(self):
        self.start()
        device = self.device("d").connect()
        stream = self.stream().begin()
        self.assertEqual((stream.event()[0], stream.event()[0]), ("status", "sessions"))
        times, end = [], time.monotonic() + 3
        stream.socket.settimeout(5)
        while time.monotonic() < end:
            device.ping()
            device.ping()
            name, _ = stream.event()
            times += [time.monotonic()] if name == "status" else []
        self.assertLessEqual(len(times), 5)
        self.assertGreaterEqual(len(times), 2)

    def test_nothing_but_a_heartbeat_while_nothing_happens(self):
        self.start()
        wait_until(lambda: self.gateway.status()["store"]["commits"], "the broker's row is written")
        stream = self.stream().begin()
        self.assertEqual((stream.event()[0], stream.event()[0]), ("status", "sessions"))
        begin = time.monotonic()
        self.assertEqual(stream.event(), (None, None))
        self.assertGreater(time.monotonic() - begin, 12)

    def test_the_seventeenth_listener_is_refused_and_leaving_makes_room(self):
        self.start()
        streams = [self.stream().begin() for _ in range(16)]
        self.assertEqual(self.samples()["dormouse_http_event_listeners"], 16)
        self.json("/api/v1/events", 503)
        streams[3].close()
        wait_until(lambda: self.samples()["dormouse_http_event_listeners"] == 15, "one has left")
        self.assertEqual(self.stream().begin().event()[0], "status")

    def test_who_does_not_read_is_closed(self):
        self.start()
        device = self.device("d").connect()
        for i in range(60):
            device.subscribe(f"{i}/" + "long/" * 45)
        self.stream(receive_buffer=4096)
        wait_until(lambda: self.samples()["dormouse_http_event_listeners"] == 1, "it listens")

        def is_closed():
            device.ping()
            time.sleep(0.3)
            return self.samples()["dormouse_http_event_listeners"] == 0
        wait_until(is_closed, "it is closed", 60)

    def test_an_orderly_end_closes_the_streams(self):
        self.start()
        stream = self.stream().begin()
        stream.event()
        self.assertEqual(self.gateway.stop(), 0)
        with self.assertRaises((AssertionError, http.client.HTTPException, OSError)):
            while True:
                stream.event()


class Changes(Http):
    """POST needs the token, and a page of ours if it comes from a page."""

    PATH = "/api/v1/sessions/d/forget"
    RIGHT = {"Authorization": f"Bearer {TOKEN}"}

    def test_session_is_forgotten_with_the_token(self):
        self.start(TOKEN)
        self.device("d").connect()
        self.assertEqual(self.json(self.PATH, method="POST", **self.RIGHT), {"forgotten": True})
        self.assertEqual(self.gateway.sessions(), {})
        self.json(self.PATH, 404, method="POST", **self.RIGHT)
        self.assertIn("http: forget d\n", self.gateway.text())
        self.assertNotIn(TOKEN, self.gateway.text())

    def test_nothing_changes_without_the_token(self):
        self.start(TOKEN)
        self.device("d").connect()
        for given in (None, "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer"):
            headers = {"Authorization": given} if given else {}
            status, answer, _ = self.ask(self.PATH, "POST", **headers)
            self.assertEqual((status, answer["WWW-Authenticate"]), (401, "Bearer"))
        self.assertIn("d", self.gateway.sessions())

    def test_nothing_changes_if_no_token_is_configured(self):
        self.start()
        self.device("d").connect()
        for action in ("forget", "disconnect", "drop-queue"):
            self.json(f"/api/v1/sessions/d/{action}", 403, method="POST", **self.RIGHT)
        self.assertEqual(self.gateway.sessions()["d"]["state"], "active")

    def test_pages_of_other_sites_change_nothing(self):
        self.start(TOKEN)
        self.device("d").connect()
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{self.port + 1}"):
            self.json(self.PATH, 403, method="POST", Origin=origin, **self.RIGHT)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            self.json(self.PATH, 415, method="POST", body="{}", Content_Type=kind, **self.RIGHT)
        self.assertIn("d", self.gateway.sessions())
        self.json(self.PATH, method="POST", body="{}", Origin=f"http://127.0.0.1:{self.port}",
                  Content_Type="application/json; charset=utf-8", **self.RIGHT)
        self.assertEqual(self.gateway.sessions(), {})


class Hostile(Http):
    def test_hosts_of_strangers_are_refused(self):
        self.start()
        for host in ("evil.example", f"evil.example:{self.port}", "127.0.0.2", "[::2]", ""):
            self.json("/api/v1/status", 421, Host=host)
        for host in ("localhost", f"127.0.0.1:{self.port}", "[::1]:1", socket.gethostname()):
            self.json("/api/v1/status", Host=host)
        for hosts in (("localhost", "evil.example"), ("evil.example", "localhost")):
            both = "".join(f"Host: {host}\r\n" for host in hosts)
            self.assertIn(b" 421 ", self.raw(f"GET / HTTP/1.1\r\n{both}\r\n".encode()))
        self.assertIn(b" 421 ", self.raw(b"GET / HTTP/1.0\r\n\r\n"))
        elsewhere = b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.assertIn(b" 421 ", self.raw(elsewhere))

    def test_no_path_leads_out_of_the_page(self):
        self.start()
        for path in ("/../dormouse.ini", "/%2e%2e/dormouse.ini", "//etc/passwd", "/etc/passwd",
                     "/./index.html", "/index.html/", "/index.html%00", "/..%2f..%2fetc%2fpasswd",
                     "/api/v1/../../index.html", "/\\index.html"):
            answer = self.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            self.assertRegex(answer, rb"^HTTP/1\.1 4\d\d ", path)

    def test_malformed_requests_end_their_connection_only(self):
        self.start()
        for octets in (b"\r\n\r\n", b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                       b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\0\x01",
                       b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
                       b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                       b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e9\r\n\r\n",
                       b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                       b"FFFFFFFFFFFFFFFF\r\n",
                       b"GET / HTTP/1.1\r\n: x\r\n\r\n", os.urandom(4000)):
            answer = self.raw(octets)
            self.assertNotIn(b" 200 ", answer[:20], octets)
            self.assertEqual(self.ask("/healthz")[0], 200)

    def test_huge_headers_and_bodies_are_refused(self):
        self.start(TOKEN)
        self.device("d").connect()
        post = (f"POST {Changes.PATH} HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {TOKEN}\r\n").encode()
        for octets in (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
                       b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 4000 + b"\r\n",
                       b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                       post + b"Content-Length: 4097\r\n\r\n" + b"x" * 4097,
                       post + b"Transfer-Encoding: chunked\r\n\r\n"
                       + b"1000\r\n" + b"x" * 4096 + b"\r\n1\r\nx\r\n0\r\n\r\n"):
            answer = self.raw(octets)
            if answer:  # what is not read resets the connection, with its answer perhaps
                self.assertRegex(answer, rb"^HTTP/1\.\d 4\d\d ", octets[:60])
        self.assertIn("d", self.gateway.sessions())
        self.assertEqual(self.ask("/healthz")[0], 200)

    def test_slow_requests_are_closed_in_time(self):
        self.start()
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1000
        begin = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.port)) as peer:
            peer.settimeout(0.5)
            for i in range(len(request)):
                try:
                    peer.sendall(request[i:i + 1])
                    if not peer.recv(100):
                        break
                except TimeoutError:
                    pass
                except ConnectionError:
                    break
                self.assertLess(time.monotonic() - begin, 20)
        self.assertGreater(time.monotonic() - begin, 8)

    def test_many_connections_do_not_stop_the_gateway(self):
        self.start()
        device = self.device("d").connect()
        for _ in range(3000):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        device.ping()
        with contextlib.ExitStack() as idle:
            for _ in range(150):
                idle.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=30))
            device.ping()
            self.assertLess(len(os.listdir(f"/proc/{self.gateway.process.pid}/fd")), 100)
            # The others are closed when their time is over.
            status, _, text = self.ask("/metrics", seconds=60)
            self.assertEqual(status, 200)
            count = float(re.search(r"^dormouse_http_connections (\d+)$", text, re.M)[1])
            self.assertLessEqual(count, 64)
        wait_until(lambda: self.samples()["dormouse_http_connections"] == 1, "all are gone")


class Configuration(Http):
    BROKER = False

    def start_in_vain(self, *lines):
        path = self.directory / "bad.conf"
        path.write_text("\n".join(["[udp lan]", "[control]", *lines]) + "\n")
        done = run([BIN / "dormoused", "-c", path])
        self.assertEqual(done.returncode, 78, done.stderr)
        return done.stderr

    def test_addresses_beyond_loopback_need_a_closed_token_file(self):
        self.assertIn("[control] http: needs token_file", self.start_in_vain("http = 0.0.0.0:1"))
        path = self.token_file(TOKEN, 0o644)
        said = self.start_in_vain("http = 0.0.0.0:1", f"token_file = {path}")
        self.assertIn("[control] token_file: others may use the file", said)
        self.assertIn("cannot be read", self.start_in_vain("token_file = /no/such/file"))

    def test_all_addresses_are_served_with_a_token(self):
        port = self.ports.take()
        self.start(TOKEN, online=False, http=f"0.0.0.0:{port}")
        self.port = port
        wait_until(lambda: self.ask("/healthz")[0] == 200, "it answers")
        self.assertEqual(self.ask("/healthz", Host="0.0.0.1")[0], 421)

    def test_busy_port_is_tried_again(self):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            self.start(online=False, http=f"127.0.0.1:{port}")
            wait_until(lambda: "Address already in use; trying again" in self.gateway.text(),
                       "the gateway tells of it")
        self.port = port
        wait_until(self.is_healthy, "the port is taken when it is free")

    def is_healthy(self):
        try:
            return self.ask("/healthz")[0] == 200
        except OSError:
            return False

    def test_empty_is_off(self):
        self.start(online=False, http="")
        self.assertNotIn("http: ", self.gateway.text())


if __name__ == "__main__":
    main()
