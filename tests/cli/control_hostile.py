"""Hostile, broken and slow clients at the control socket.  The guest counts; no number may be missing at the end.

usage: control_hostile.py STASIS SOCKET"""
import array, json, os, random, socket, subprocess, sys, time

stasis, path = sys.argv[1:]
failures = 0
PATIENCE = 30  # seconds, for what must happen


def check(what, condition):
    global failures
    if not condition:
        failures += 1
        print("FAILED:", what)


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            check(what, False)
            return
        time.sleep(0.02)


class Client:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.replies = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        """The next reply; None where the connection ended."""
        try:
            line = self.replies.readline()
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    def ask(self, line):
        self.send(line + b"\n")
        return self.reply()

    def close(self):
        self.replies.close()
        self.socket.close()


def is_error(reply, code):
    return reply is not None and not reply["ok"] and reply["error"]["code"] == code


def descriptors():
    return len(os.listdir("/proc/%d/fd" % machine.pid))


def settle(what="a connection that is over stays open"):
    """Until the machine has closed what is closed: as many descriptors as before."""
    wait_for(what, lambda: descriptors() <= quiet)


output = open(path + ".out", "wb")
machine = subprocess.Popen([stasis, "run", "--mem", "8M", "--guest", "counter", "--control", path],
                           stdin=subprocess.DEVNULL, stdout=output)
wait_for("no socket", lambda: os.path.exists(path))
first = Client()
check("no first status", first.ask(b"status")["machine"] == "running")
first.close()
wait_for("no first line", lambda: os.path.getsize(path + ".out") > 0)
time.sleep(0.3)
quiet = descriptors()

# Half lines, single bytes, several requests at once, their replies in order.
client = Client()
for byte in b"status":
    client.send(bytes([byte]))
    time.sleep(0.01)
client.send(b"\nhelp\nda")
check("half a line", client.reply()["machine"] == "running")
check("a line behind it", "requests" in client.reply())
check("the other half", is_error(client.ask(b"nce"), "usage"))
client.send(b"dance\nstatus\n" * 200)
check("order", all(is_error(client.reply(), "usage") and "machine" in client.reply() for _ in range(200)))

# Words that are none.  The connection goes on.
for line in (b"", b" ", b"sta\0tus", b"\0", b"\xff\xfe", b"\x1b[2J", b'"status', b'"sta\\u0000tus"', b"1 2 3 4 5 6 7 8 9",
             b"status 0", b"status 18446744073709551616", b"snapshot relative", b"snapshot /a /b", b"snapshot",
             b"x" * 16384):
    check("taken: %r" % line[:40], is_error(client.ask(line), "usage"))
check("a string", client.ask(b'"st\\u0061tus"\t\r')["machine"] == "running")
check("a folder", client.ask(b"snapshot /")["ok"] is False)
client.close()

# Lines without an end, in all sizes: one error, then the end.
for size in (16385, 20000, 1 << 20):
    client = Client()
    try:
        client.send(b"x" * size)
    except (BrokenPipeError, ConnectionResetError):
        pass
    check("a line of %d bytes" % size, is_error(client.reply(), "usage"))
    check("no end behind %d bytes" % size, client.reply() is None)
    client.close()

# Clients that go away: before they ask, in the middle, before they read.  What was asked with a newline is done.
Client().close()
for data in (b"pau", b"quit", b"help\n" * 3000, b"x" * 16384):
    client = Client()
    client.send(data)
    client.close()
client = Client()
check("half a request was done", client.ask(b"status")["machine"] == "running")
other = Client()
other.send(b"pause\nresume\npause\n")
other.close()
wait_for("a request of a client that has gone is not done", lambda: client.ask(b"status")["machine"] == "paused")
check("not resumed", client.ask(b"resume")["machine"] == "running")
client.close()

# One that has no more to ask is answered.
client = Client()
client.send(b"status\n" * 100 + b"pau")
client.socket.shutdown(socket.SHUT_WR)
check("no answers behind its end", all(client.reply()["ok"] for _ in range(100)) and client.reply() is None)
client.close()
settle()

# Eight clients; the ninth is told, and when one has gone there is room again.
clients = [Client() for _ in range(8)]
check("eight", all(client.ask(b"status")["ok"] for client in clients))
ninth = Client()
check("a ninth", is_error(ninth.reply(), "not-now") and ninth.reply() is None)
ninth.close()
clients[3].close()
settle_to = quiet + 7
wait_for("a place stays taken", lambda: descriptors() == settle_to)
clients[3] = Client()
check("no place for another", clients[3].ask(b"status")["ok"])
check("the others", all(client.ask(b"status")["ok"] for client in clients))
for client in clients:
    client.close()
settle()

# A client that asks and does not read loses its connection, in bounded memory; others are served meanwhile.
slow, other = Client(), Client()
slow.socket.setblocking(False)
sent = 0


def drown():
    global sent
    try:
        sent += slow.socket.send(b"help\n" * 100)
    except BlockingIOError:
        pass
    except (BrokenPipeError, ConnectionResetError):
        return True
    return not other.ask(b"status")["ok"]


wait_for("a client that does not read keeps its connection", drown)
check("the other", other.ask(b"status")["machine"] == "running")
slow.close()
other.close()

# Descriptors that nobody wants: with a request, without one, too many.
client = Client()
null = os.open("/dev/null", os.O_RDONLY)


def send_fds(data, nr):
    fds = array.array("i", [null] * nr)
    client.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])


settle_to = quiet + 1
for nr in (1, 2, 3, 200):
    send_fds(b"status\n", nr)
    check("a request with %d descriptors" % nr, client.reply()["ok"])
    wait_for("descriptors stay open", lambda: descriptors() == settle_to)
for _ in range(50):
    send_fds(b"x", 2)
check("a request in pieces with descriptors", is_error(client.ask(b""), "usage"))
wait_for("descriptors of a request stay open", lambda: descriptors() == settle_to)
send_fds(b"half", 2)
client.close()
settle("descriptors of half a request stay open")

# Noise.
random.seed(1)
for _ in range(20):
    client = Client()
    try:
        client.send(random.randbytes(50000).replace(b"quit", b"QUIT"))
        client.socket.settimeout(0.05)
        client.replies.read()
    except (OSError, ValueError):
        pass
    client.close()
settle()

# The guest has gone on, and lost nothing.
client = Client()
check("not running at the end", client.ask(b"status")["machine"] == "running")
size = os.path.getsize(path + ".out")
wait_for("the guest stands still", lambda: os.path.getsize(path + ".out") > size)
check("quit", client.ask(b"quit")["ok"] and client.reply() is None)
check("its status", machine.wait() == 0)
numbers = open(path + ".out", "rb").read().split()
check("a number is missing", [int(n) for n in numbers] == list(range(len(numbers))) and len(numbers) > 10)
sys.exit(failures > 0)
