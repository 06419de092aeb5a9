"""Migrations that come to nothing: without a connection, with one that is none, with a target that hangs up or is silent.

usage: control_migrate.py SOCKET"""
import array, json, os, socket, sys, time

path = sys.argv[1]
machine = socket.socket(socket.AF_UNIX)
machine.settimeout(60)
machine.connect(path)
replies = machine.makefile("rb")


def ask(line, *fds):
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    machine.sendmsg([line.encode() + b"\n"], ancillary)
    return json.loads(replies.readline())


def check(what, condition):
    if not condition:
        sys.exit("FAILED: " + what)


def is_error(reply, code, text):
    return not reply["ok"] and reply["error"]["code"] == code and text in reply["error"]["text"]


def await_job(number):
    while True:
        reply = ask("status %d" % number)
        if "last" in reply:
            return reply
        time.sleep(0.02)


pair = socket.socketpair
spare = pair()
null = os.open("/dev/null", os.O_RDWR)
check("without a connection", is_error(ask("migrate x"), "usage", "expected a connected socket"))
check("a device", is_error(ask("migrate x", null), "usage", "migrate x: expected a socket, or two pipes"))
check("receive: nobody", is_error(ask("receive"), "usage", "expected what to call the source"))
check("receive: no connection", is_error(ask("receive x"), "usage", "receive: expected a connected socket"))
check("receive: a device", is_error(ask("receive x", null), "usage", "receive x: expected a socket, or two pipes"))
check("receive: nothing is missing",
      is_error(ask("receive x", spare[0].fileno()), "usage", "this machine has come with all of its memory"))
check("a device to write to", is_error(ask("migrate x", spare[0].fileno(), null), "usage", "expected a socket"))
for words in ("verify=1", "downtime_us", "downtime_us=", "bandwidth=-1", "rounds=x", "rounds=1x", "x"):
    check(words, is_error(ask("migrate x " + words, spare[0].fileno()), "usage", words + ": expected"))
check("nothing was begun", "job" not in ask("status") and "last" not in ask("status"))

# A target that hangs up.
ours, theirs = pair()
check("begun", ask("migrate unix:there verify rounds=3 bandwidth=1000000 downtime_us=5000", theirs.fileno()) == {"ok": True, "job": 1})
theirs.close()
ours.close()
reply = await_job(1)
last = reply["last"]
check("hung up: %s" % reply, reply["machine"] == "running" and last["kind"] == "migration" and last["target"] == "unix:there"
      and not last["ok"] and "migration to unix:there" in last["error"]["text"])

# A silent one: one job at a time, no rewind's point, and cancel.
ours, theirs = pair()
check("begun", ask("migrate unix:there", theirs.fileno()) == {"ok": True, "job": 2})
theirs.close()
check("a second", is_error(ask("migrate x", spare[0].fileno()), "not-now", "the migration to unix:there, job 2, is under way"))
check("a snapshot", is_error(ask("snapshot /x"), "not-now", "job 2, is under way"))
check("a point", is_error(ask("rewind --set"), "not-now", "job 2, is under way"))
job = ask("status")["job"]
check("status: %s" % job, job["kind"] == "migration" and job["target"] == "unix:there" and job["phase"] == "asking"
      and job["ram_bytes"] == 8 << 20)
check("paused", ask("pause")["machine"] == "paused" and ask("resume")["machine"] == "running")
check("cancel", ask("cancel") == {"ok": True, "job": 2})
reply = ask("status 2")
check("cancelled: %s" % reply, "job" not in reply and is_error(reply["last"], "not-now", "given up, as a client asked for"))
check("the target is not told", ours.recv(1 << 20) and True)
ours.settimeout(30)
while ours.recv(1 << 20):
    pass

# A paused machine stays paused, and the end of the machine ends it.
check("paused", ask("pause")["machine"] == "paused")
ours, theirs = pair()
ask("migrate x", theirs.fileno())
ask("cancel")
check("still paused", ask("status")["machine"] == "paused")
ask("migrate x", theirs.fileno())
theirs.close()
ask("quit")
reply = ask("status 4")
check("ended: %s" % reply, is_error(reply["last"], "not-now", "the guest ended before it was done"))
check("more than that", replies.read() == b"")
