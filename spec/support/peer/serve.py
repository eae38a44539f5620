"""Servers that send exactly the bytes that a spec asks for, for faults that ordinary servers do not have.

Started and controlled by init.lua: one process with any number of listeners on loopback ports. Each has a script of
acts for its connections and requests, and records the requests. A command is a line of JSON, and so is its result. In
JSON, the characters U+0000 to U+00FF stand for bytes.
    python3 serve.py OWNER_PID OWNER_START FOLDER     FOLDER holds NAME.pem and NAME.key
The process removes the folder and ends when its owner closes the control connection or has ended.
"""

import functools
import json
import os
import select
import shutil
import socket
import ssl
import struct
import sys
import threading
import time
import zlib

import h2.config
import h2.connection
import h2.events
import h2.settings

FOLDER = sys.argv[3]
TOKEN_PATHS = ("/api/partners/v2.0/auth/token", "/oauth2/token/")
LONGEST_STALL = 60  # seconds
VERSIONS = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2,
            "1.3": ssl.TLSVersion.TLSv1_3}


def squeeze(data, flush, window=-15):
    stream = zlib.compressobj(9, zlib.DEFLATED, window)
    return stream.compress(data) + stream.flush(flush)


BOMB_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + squeeze(b"[", zlib.Z_FULL_FLUSH)
BOMB_MEGABYTE = squeeze(b" " * 1048576, zlib.Z_FULL_FLUSH)  # refers to nothing before it


@functools.lru_cache
def nested_bomb(megabytes):
    return squeeze(BOMB_HEAD + BOMB_MEGABYTE * megabytes, zlib.Z_FINISH, 31)


def bomb(megabytes, layers):
    """Yields the pieces of a gzip file that unpacks to the beginning of a JSON array and so many megabytes of blanks.
    With two layers, yields that file compressed with gzip once more."""
    if layers == 2:
        yield nested_bomb(megabytes)
        return
    yield BOMB_HEAD
    for _ in range(megabytes):
        yield BOMB_MEGABYTE


@functools.lru_cache
def blanks(megabytes):
    """Returns a gzip file that unpacks to an empty JSON array with so many megabytes of blanks in it."""
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [stream.compress(b"[")] + [stream.compress(b" " * 1048576) for _ in range(megabytes)]
    return b"".join(pieces) + stream.compress(b"]") + stream.flush()


@functools.lru_cache
def packed(head, unit, count):
    """Returns a gzip file of the head and `count` units."""
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = max(1, min(count, 1048576 // len(unit)))
    pieces = [stream.compress(head.encode("latin-1"))]
    for start in range(0, count, block):
        pieces.append(stream.compress(unit.encode("latin-1") * min(block, count - start)))
    return b"".join(pieces) + stream.flush()


@functools.lru_cache
def colliding(count):
    """Returns a JSON object with `count` keys that have the same hash in Lua 5.1 and 5.3.

    The hash of 64 bytes there uses only every third byte.
    """
    seen = [i for i in range(64) if i % 3 == 0]
    free = [i for i in range(64) if i not in seen]
    members = []
    for number in range(count):
        key = ["a"] * 64
        for bit, place in enumerate(free[:20]):
            key[place] = "ab"[number >> bit & 1]
        members.append('"%s":1' % "".join(key))
    return "{" + ",".join(members) + "}"


class HangUp(Exception):
    """The connection has ended."""


def reset(sock):
    """Closes with a RST instead of a FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_established(sock):
    """Whether neither side has ended the connection."""
    try:
        return sock.fileno() >= 0 and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1
    except OSError:
        return False


def tls_context(tls):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")  # otherwise OpenSSL refuses the old versions
    context.minimum_version = VERSIONS[tls.get("version", "1.2")]
    context.maximum_version = VERSIONS[tls.get("version", "1.3")]
    name = os.path.join(FOLDER, tls["certificate"])
    context.load_cert_chain(name + ".pem", name + ".key")
    if tls.get("client_certificate"):
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(os.path.join(FOLDER, "ca.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"] if tls.get("h2") else ["http/1.1"])
    return context


class Listener:
    """A port, with its script and the requests that it has received."""

    def __init__(self, settings):
        self.lock = threading.Lock()
        self.settings = {"accept": [], "secured": [], "connect": [], "api": [], "token": []}
        self.requests, self.connections, self.ended, self.most, self.open = [], 0, 0, 0, set()
        self.met = threading.Condition(self.lock)
        self.in_flight = 0
        self.holding, self.hold_ends = 0, threading.Condition()
        self.gone = threading.Event()
        self.closed = False
        self.host = settings.get("host", "127.0.0.1")
        self.socket = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        self.socket.bind((self.host, int(settings.get("port", 0))))
        self.port = self.socket.getsockname()[1]
        self.fillers = []
        self.listening = False
        self.set(settings)

    def set(self, settings):
        with self.lock:
            self.settings.update(settings)
        state = settings.get("state")
        if state == "deaf":
            self.fill_queue()
        elif state == "listening" and not self.listening:
            self.listening = True
            self.socket.listen(128)
            for filler in self.fillers:
                filler.close()
            threading.Thread(target=self.accept, daemon=True).start()

    def fill_queue(self):
        """Fills the queue of a listener that never accepts, so that further SYNs stay unanswered."""
        self.socket.listen(0)
        for _ in range(4):
            filler = socket.socket(self.socket.family)
            filler.setblocking(False)
            filler.connect_ex((self.host, self.port))
            self.fillers.append(filler)
        time.sleep(0.02)

    def next(self, kind):
        """Returns the next acts of a script, or the default ones if it is used up."""
        with self.lock:
            queue = self.settings[kind]
            return queue.pop(0) if queue else self.settings.get("good_" + kind, [])

    def accept(self):
        while not self.closed:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open.add(sock)
                self.most = max(self.most, sum(map(is_established, self.open)))
                number = self.connections
            threading.Thread(target=self.serve, args=(sock, number), daemon=True).start()

    def serve(self, sock, number):
        raw = sock
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Http1(self, sock, number).play(self.next("accept"))
            tls = self.settings.get("tls")
            if tls:
                sock = tls_context(tls).wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                with self.lock:
                    self.open.add(sock)
                sock.do_handshake()
                Http1(self, sock, number).play(self.next("secured"))
            protocol = Http2 if tls and sock.selected_alpn_protocol() == "h2" else Http1
            protocol(self, sock, number).run()
        except (HangUp, OSError):
            pass
        finally:
            with self.lock:
                self.open.discard(raw)
                self.open.discard(sock)
            sock.close()
            with self.lock:
                self.ended += 1

    def record(self, request):
        with self.met:
            self.requests.append(request)
            self.met.notify_all()

    def count(self, requests):
        with self.lock:
            self.in_flight += requests

    def close(self):
        self.closed = True
        with self.lock:
            everything = list(self.open) + self.fillers
        for sock in everything:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Connection:
    """Plays lists of acts, each of which is a list of a name and arguments."""

    def __init__(self, listener, sock, number):
        self.listener, self.sock, self.number = listener, sock, number

    def play(self, acts):
        for name, *arguments in acts:
            getattr(self, "act_" + name)(*arguments)

    def respond_to(self, method, target, headers, body):
        kind = "connect" if method == "CONNECT" else "token" if target.endswith(TOKEN_PATHS) else "api"
        self.request = {"method": method, "target": target, "headers": headers, "body": body}
        self.listener.record({**self.request, "kind": kind, "connection": self.number, "time": time.time()})
        self.listener.count(1)
        try:
            self.play(self.listener.next(kind))
        finally:
            self.listener.count(-1)

    def act_echo(self, status, form):
        """Sends a response that contains the request, as "json" or as "text", and in the target of a redirect."""
        told = self.request["headers"].get("authorization", "") + "&" + self.request["body"]
        text = json.dumps({"detail": told, "request": self.request}) if form == "json" else "<p>" + told
        self.act_respond(status, {"Location": "/login?" + told.replace(" ", "%20")}, text)

    def act_bomb(self, megabytes, layers=1):
        head = "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\n\r\n" % ", ".join(["gzip"] * layers)
        self.sock.sendall(head.encode())
        for piece in bomb(megabytes, layers):
            self.sock.sendall(piece)
        raise HangUp

    def act_blanks(self, megabytes):
        self.act_respond(200, {"Content-Encoding": "gzip"}, blanks(int(megabytes)).decode("latin-1"))

    def act_packed(self, head, unit, count):
        """Sends a response in gzip: the head, and `count` units."""
        body = packed(head, unit, int(count))
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def act_packed_body(self, head, unit, count):
        """Sends only the body of such a response."""
        self.sock.sendall(packed(head, unit, int(count)))

    def act_gzipped(self, text, more):
        """Sends a response in gzip and more bytes after it: the same body again if `more` is "member"."""
        body = squeeze(text.encode("latin-1"), zlib.Z_FINISH, 31)
        body += body if more == "member" else more.encode("latin-1")
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def act_colliding(self, head, count, tail):
        """Sends a response whose keys collide in Lua's table of strings."""
        self.act_respond(200, {}, head + colliding(int(count)) + tail)

    def act_pause(self, seconds):
        time.sleep(seconds)

    def act_stall(self):
        """Sends nothing until the client has closed the connection."""
        self.sock.settimeout(LONGEST_STALL)
        while self.sock.recv(4096):
            pass
        raise HangUp

    def act_hold(self):
        """Sends nothing until the owner releases it or the client has closed the connection."""
        with self.listener.hold_ends:
            self.listener.holding += 1
            try:
                while not self.listener.hold_ends.wait(timeout=0.01):
                    if select.select([self.sock], [], [], 0)[0] and not self.sock.recv(1, socket.MSG_PEEK):
                        raise HangUp
            finally:
                self.listener.holding -= 1

    def act_close(self):
        """Sends a FIN, over TLS without close_notify. Reads what has arrived: unread bytes would cause a RST."""
        self.sock.shutdown(socket.SHUT_WR)
        self.sock.settimeout(1)
        while self.sock.recv(65536):
            pass
        raise HangUp

    def act_goodbye(self):
        self.sock.unwrap()
        raise HangUp

    def act_end(self):
        """Sends close_notify (over TLS) and a FIN without waiting, as servers close idle connections."""
        self.sock.settimeout(0)
        try:
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.unwrap()
        except OSError:
            pass
        raise HangUp

    def act_flood(self, text, unit, count, end):
        """Sends a text, `count` units and an end until the client accepts no more. Waits until it has disconnected."""
        try:
            self.sock.sendall(text.encode("latin-1"))
            for _ in range(int(count)):
                self.sock.sendall(unit.encode("latin-1"))
            self.sock.sendall(end.encode("latin-1"))
            self.sock.settimeout(LONGEST_STALL)
            while self.sock.recv(4096):
                pass
        except OSError:
            pass
        finally:
            self.listener.gone.set()
        raise HangUp

    def act_await_gone(self):
        """Waits for the end of a flood on another connection."""
        self.listener.gone.wait(LONGEST_STALL)

    def act_meet(self, count):
        """Waits until `count` requests have been received in all."""
        with self.listener.met:
            self.listener.met.wait_for(lambda: len(self.listener.requests) >= count, LONGEST_STALL)

    def act_reset(self):
        time.sleep(0.03)  # a RST can overtake what was sent before it
        reset(self.sock)
        raise HangUp


class Http1(Connection):
    def run(self):
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                more = self.sock.recv(65536)
                if not more:
                    return
                pending += more
            head, _, pending = pending.partition(b"\r\n\r\n")
            line, *fields = head.decode("latin-1").split("\r\n")
            method, target, _ = line.split(" ")
            headers = {}
            for field in fields:
                name, _, value = field.partition(":")
                headers[name.lower()] = value.strip()
            size = int(headers.get("content-length", "0"))
            while len(pending) < size:
                more = self.sock.recv(65536)
                if not more:
                    return
                pending += more
            body, pending = pending[:size], pending[size:]
            self.respond_to(method, target, headers, body.decode("latin-1"))

    def act_send(self, text):
        self.sock.sendall(text.encode("latin-1"))

    def act_repeat(self, text, count):
        """Sends the text `count` times, as long as the client accepts it."""
        each = max(1, 65536 // max(1, len(text)))
        block = text.encode("latin-1") * each
        for _ in range(int(count) // each):
            self.sock.sendall(block)
        self.act_send(text * (int(count) % each))

    def act_tunnel(self, elsewhere=None, *fields):
        """Answers CONNECT as a proxy, with these header fields, and relays bytes in both directions until one side
        ends. `elsewhere`: a port of this machine, whatever the client asked for."""
        host, _, port = self.request["target"].rpartition(":")
        if elsewhere:
            host, port = "127.0.0.1", elsewhere
        with socket.create_connection((host, int(port))) as other:
            self.act_send("\r\n".join(["HTTP/1.1 200 Connection established", *fields, "", ""]))
            ends = {self.sock: other, other: self.sock}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        raise HangUp
                    ends[end].sendall(data)

    def act_drip(self, text, seconds):
        for character in text:
            self.act_send(character)
            time.sleep(seconds)

    def act_respond(self, status, headers, body):
        head = ["HTTP/1.1 %d Status" % status, "Content-Length: %d" % len(body)]
        head += ["%s: %s" % pair for pair in headers.items()]
        self.act_send("\r\n".join(head) + "\r\n\r\n" + body)


class Http2(Connection):
    """Serves one request at a time. If a request has no acts, nothing is sent on its stream."""

    def run(self):
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1",
                                           validate_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.flush()
        bodies, heads = {}, {}
        while True:
            data = self.sock.recv(65536)
            if not data:
                return
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    heads[event.stream_id] = dict(event.headers)
                    bodies[event.stream_id] = b""
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self.stream = event.stream_id
                    headers = heads.pop(self.stream)
                    self.flush()
                    self.respond_to(headers[":method"], headers[":path"], headers,
                                bodies.pop(self.stream).decode("latin-1"))
                elif isinstance(event, h2.events.ConnectionTerminated):
                    return
            self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def act_head(self, status, headers, last=False):
        fields = [(":status", "%d" % status)] + [(name.lower(), value) for name, value in headers.items()]
        self.h2.send_headers(self.stream, fields, end_stream=last)
        self.flush()

    def act_data(self, body, last=False):
        data = body.encode("latin-1")
        for start in range(0, len(data), 16384):
            self.h2.send_data(self.stream, data[start:start + 16384])
        if last:
            self.h2.end_stream(self.stream)
        self.flush()

    def act_trailer(self, headers):
        self.h2.send_headers(self.stream, [(name.lower(), value) for name, value in headers.items()], end_stream=True)
        self.flush()

    def act_respond(self, status, headers, body):
        self.act_head(status, headers)
        self.act_data(body, True)

    def act_rst(self, code):
        self.h2.reset_stream(self.stream, int(code))
        self.flush()

    def act_goaway(self, last_stream, code):
        """Sends GOAWAY. The frame is made here because h2 sends nothing more after a GOAWAY that it has made."""
        self.flush()
        self.sock.sendall(b"\0\0\x08\x07\0\0\0\0\0" + struct.pack(">II", int(last_stream), int(code)))

    def act_raw(self, text):
        self.flush()
        self.sock.sendall(text.encode("latin-1"))


def act(listeners, command):
    """Executes a command of the owner."""
    name = command["do"]
    if name == "listen":
        listener = Listener(command["settings"])
        listeners.append(listener)
        return {"port": listener.port, "number": len(listeners) - 1}
    listener = listeners[int(command["number"])]
    if name == "set":
        listener.set(command["settings"])
    elif name == "received":
        with listener.lock:
            return {"requests": list(listener.requests), "connections": listener.connections,
                    "ended": listener.ended, "most": listener.most, "in_flight": listener.in_flight}
    elif name == "step":
        with listener.hold_ends:
            listener.hold_ends.notify()
            return {"held": listener.holding > 0}
    elif name == "close":
        listener.close()
    return {}


def process_start(pid):
    """Returns when a process was started, or None if there is no such process."""
    try:
        with open("/proc/%s/stat" % pid) as file:
            fields = file.read().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def is_running(pid, start):
    """Returns whether the process that was started at `start` is running. `start` is "" on systems without /proc."""
    if start:
        return process_start(pid) == start
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


def leave():
    shutil.rmtree(FOLDER, ignore_errors=True)
    os._exit(0)


def watch(owner, start):
    while is_running(owner, start):
        time.sleep(0.5)
    leave()


def main():
    threading.Thread(target=watch, args=(sys.argv[1], sys.argv[2]), daemon=True).start()
    server = socket.create_server(("127.0.0.1", 0))
    print(os.getpid(), server.getsockname()[1], flush=True)
    control, _ = server.accept()
    listeners = []
    for line in control.makefile("rb"):
        result = act(listeners, json.loads(line))
        control.sendall(json.dumps(result, ensure_ascii=False).encode() + b"\n")
    leave()


main()
