#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The HTTP side of the gateway as the status page sees it, without a gateway: serves web/ and the
objects that stdin sets, one JSON command a line, and answers each command with a line.

{"status": {...}} {"sessions": [...]}
{"details": {id: {"show": {...}, "queue": {...}}}}   what is served; the first two also as events
{"patch": {id: {...}}}   changes some sessions
{"stop": true}           closes the port and all connections; {"start": true} opens the same again
{"hang": true/false}     connections stay and nothing is said any more
{"full": true/false}     no further stream of events is accepted
{"posts": true}          answers with the requests that changed something
"""
import http.server
import json
import pathlib
import socket
import sys
import threading
import time
import urllib.parse

WEB = pathlib.Path(__file__).resolve().parents[2] / "web"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css"}
CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
       "img-src 'self' data:")
TOKEN = "squirrel"


class State:
    def __init__(self):
        self.changed = threading.Condition()
        self.version = 0
        self.status, self.sessions, self.details, self.posts = {}, [], {}, []
        self.hang = False
        self.full = False
        self.server = None
        self.connections = set()


STATE = State()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        STATE.connections.add(self.connection)

    def finish(self):
        STATE.connections.discard(self.connection)
        super().finish()

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", CSP)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, status, value):
        self.answer(status, "application/json", json.dumps(value).encode())

    def wait_while_hanging(self):
        while STATE.hang:
            time.sleep(0.05)

    def session_id(self, rest):
        return urllib.parse.unquote(rest, errors="strict")

    def do_GET(self):
        self.wait_while_hanging()
        path = self.path.partition("?")[0]
        if path == "/api/v1/status":
            self.answer_json(200, STATE.status)
        elif path == "/api/v1/sessions":
            self.answer_json(200, {"sessions": STATE.sessions})
        elif path == "/api/v1/events":
            self.stream()
        elif path.startswith("/api/v1/sessions/"):
            client_id, _, what = path.removeprefix("/api/v1/sessions/").partition("/")
            detail = STATE.details.get(self.session_id(client_id), {}).get(what or "show")
            self.answer_json(200 if detail else 404, detail or {"error": "no such session"})
        else:
            self.serve_file(path)

    def serve_file(self, path):
        file = WEB / ("index.html" if path == "/" else path[1:])
        if file.parent == WEB and file.is_file():
            self.answer(200, TYPES[file.suffix], file.read_bytes())
        else:
            self.answer(404, "text/plain", b"not found\n")

    def stream(self):
        if STATE.full:
            self.answer_json(503, {"error": "too many listen already"})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        seen = -1
        try:
            while True:
                with STATE.changed:
                    STATE.changed.wait_for(lambda: STATE.version != seen)
                    seen = STATE.version
                    events = (("status", STATE.status), ("sessions", STATE.sessions))
                self.wait_while_hanging()
                for name, value in events:
                    self.wfile.write(f"event: {name}\ndata: {json.dumps(value)}\n\n".encode())
                self.wfile.flush()
        except OSError:
            pass

    def do_POST(self):
        self.wait_while_hanging()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer_json(401, {"error": "wrong token"})
            return
        client_id, _, action = self.path.removeprefix("/api/v1/sessions/").rpartition("/")
        STATE.posts.append([self.session_id(client_id), action])
        self.answer_json(200, {})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_):
        pass  # a browser closes connections as it likes


def start(port):
    STATE.server = Server(("127.0.0.1", port), Handler)
    threading.Thread(target=STATE.server.serve_forever, kwargs={"poll_interval": 0.05},
                     daemon=True).start()
    return STATE.server.server_address[1]


def stop():
    STATE.server.shutdown()
    STATE.server.server_close()
    for connection in list(STATE.connections):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def obey(command, port):
    with STATE.changed:
        for name in ("status", "sessions", "details", "hang", "full"):
            if name in command:
                setattr(STATE, name, command[name])
        for session in STATE.sessions:
            session.update(command.get("patch", {}).get(session["client_id"], {}))
        STATE.version += 1
        STATE.changed.notify_all()
    if command.get("stop"):
        stop()
    if command.get("start"):
        start(port)
    return STATE.posts if command.get("posts") else True


def main():
    port = start(0)
    print(json.dumps(port), flush=True)
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line), port)), flush=True)


main()
