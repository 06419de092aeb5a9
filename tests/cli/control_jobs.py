"""One job at a time: a second is refused, cancel gives it up, and who asked is told also when the machine has ended.

usage: control_jobs.py SOCKET FILE-PREFIX"""
import json, socket, sys

path, prefix = sys.argv[1:]
machine = socket.socket(socket.AF_UNIX)
machine.connect(path)
replies = machine.makefile("rb")


def ask(*lines):
    machine.sendall("".join(line + "\n" for line in lines).encode())
    return [json.loads(replies.readline()) for _ in lines]


def check(what, condition):
    if not condition:
        sys.exit("FAILED: " + what)


begun, second, looked, point, cancelled, after = ask(
    "snapshot %s.a" % prefix, "snapshot %s.b" % prefix, "status", "rewind --set", "cancel", "status 1")
check("no job: %s" % begun, begun == {"ok": True, "job": 1})
check("a second job: %s" % second, second["error"]["code"] == "not-now" and prefix + ".a, job 1" in second["error"]["text"])
job = looked["job"]
check("not under way: %s" % looked, job["number"] == 1 and job["phase"] == "copying" and job["file"] == prefix + ".a"
      and job["kind"] == "snapshot" and job["pages_todo"] == job["ram_bytes"] // 4096 and "last" not in looked)
check("a point during a job: %s" % point, point["error"]["code"] == "not-now")
check("not cancelled: %s" % cancelled, cancelled == {"ok": True, "job": 1})
check("no result: %s" % after, "job" not in after and after["last"]["number"] == 1 and not after["last"]["ok"]
      and after["last"]["error"]["code"] == "not-now")

# The results of the last eight jobs are kept.
for number in range(2, 10):
    ask("snapshot %s.c" % prefix, "cancel")
forgotten, kept = ask("status 1", "status 2")
check("kept too long: %s" % forgotten, forgotten["error"]["code"] == "no-input")
check("forgotten: %s" % kept, kept["last"]["number"] == 2)

begun, quitting = ask("snapshot %s.b" % prefix, "quit")
check("no last job: %s" % begun, begun["job"] == 10 and quitting["ok"])
late, last = ask("resume", "status 10")
check("an ended machine is resumed: %s" % late, late["error"]["code"] == "not-now")
check("the end is not told: %s" % last, last["machine"] == "ended" and "the guest ended" in last["last"]["error"]["text"])
check("more than that", replies.read() == b"")
