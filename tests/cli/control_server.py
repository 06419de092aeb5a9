"""The client against a machine that is not there: replies as they may come, also such as never should.

usage: control_server.py STASIS PTY_RUN SOCKET"""
import os, socket, subprocess, sys, threading

stasis, pty_run, path = sys.argv[1:]
failures = 0


def serve(listener, replies, heard):
    client, _ = listener.accept()
    lines = client.makefile("rb")
    for reply in replies:
        line = lines.readline()
        if not line:
            break
        heard.append(line)
        client.sendall(reply)
    client.close()


def case(what, replies, command, status, out=None, err=None):
    """The client, whose requests get these replies, ends with the status and prints these texts."""
    global failures
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    heard = []
    thread = threading.Thread(target=serve, args=(listener, replies, heard))
    thread.start()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    listener.close()
    thread.join()
    os.unlink(path)
    for name, got, wanted in (("status", done.returncode, status), ("output", done.stdout, out), ("error", done.stderr, err)):
        good = wanted is None or (got == wanted if name == "status" else wanted in got)
        if not good:
            failures += 1
            print("FAILED: %s: %s %r, expected %r" % (what, name, got, wanted))
    return heard


def ctl(*words):
    return [stasis, "ctl", path, *words]


ok = b'{"ok":true,"job":7}\n'
busy = b'{"ok":true,"job":{"number":7,"phase":"copying","round":1,"pages_done":512,"pages_todo":1024,"written_bytes":1048576}}\n'
good = b'{"ok":true,"last":{"number":7,"ok":true,"text":"written"}}\n'
bad = b'{"ok":true,"last":{"number":7,"ok":false,"error":{"code":"io","text":"no room"}}}\n'

heard = case("a job", [ok, busy, busy, good], ctl("snapshot", "/f\xe9"), 0, b"written\n", b"")
if heard != [b'"snapshot" "/f\\u00e9" \n'] + 3 * [b"status 7\n"]:
    failures += 1
    print("FAILED: the client asked %r" % heard)
case("a failed job", [ok, busy, bad], ctl("snapshot", "f"), 74, b"", b"stasis: no room\n")
case("a failed job, as it is", [ok, bad], ctl("snapshot", "f", "--json"), 74, bad, b"")
# More than half a second, and on a terminal: a bar.
case("a bar", [ok] + 60 * [busy] + [good], [pty_run, "expect:[###############...............]  50% of round 2, 1.0 MiB, copying",
     "expect:written", "--", *ctl("snapshot", "f")], 0)
case("the machine ends", [ok, busy], ctl("snapshot", "f"), 74, b"", b"the machine ended before it replied")
case("the machine ends at once", [], ctl("status"), 74, b"", b"the machine ended before it replied")
case("no JSON", [b"hello\n"], ctl("status"), 65, b"", b"a reply that this version does not understand")
case("no object", [b"[]\n"], ctl("status"), 65, b"", b"does not understand")
case("a code of another version", [b'{"ok":false,"error":{"code":"new","text":"why"}}\n'], ctl("status"), 70, b"", b"stasis: why\n")
case("control characters", [b'{"ok":false,"error":{"code":"io","text":"a\\u001b[2Jb"}}\n'], ctl("status"), 74, b"", b"a?[2Jb\n")
case("a reply without end", [b"x" * 300000], ctl("status"), 65, b"", b"a reply of more than 65536 bytes")
case("members of a later version", [b'{"ok":true,"new":[{"a":null}],"b":-1.5e3}\n'], ctl("status"), 0, b"new.0.a: null\nb: -1.5e3\n", b"")
sys.exit(failures > 0)
