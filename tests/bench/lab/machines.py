"""Stasis and QEMU, each with a source and a target of the same guest: started, moved over a link, looked at from outside.

A Stasis or a Qemu has:
    await start(folder)         both processes; the source's guest is ready and runs
    await move(fd)              moves it over the descriptor; returns a Report when the VMM says that it is done
    incoming                    our end of the target's connection
    source, target              Process: .console, the bytes printed, each with the time at which it arrived here
    await stop()
"""
import asyncio
import json
import os
import socket
import struct
import time
from dataclasses import dataclass, field

PAGE = 4096
BOOT_INFO = struct.Struct("<QQQIIQ512s")  # struct boot_info of guest/abi.h
BOOT_INFO_MAGIC = 0x5349534154530a01
BIOS_INFO = 0xf000  # of paced_bios.S
IRQCHIP_FULL = 2
START_S = 60
POLL_S = 0.02
ROUND_MIN_S = 0.001
READY = b" pages\n"  # paced.c: the beats are behind it


class LabError(Exception):
    pass


def seconds_of(timestamp):
    """Of QMP: of the time of day."""
    return timestamp["seconds"] + timestamp["microseconds"] / 1e6


@dataclass
class Round:
    """As the VMM tells it; None where it does not."""
    data_pages: int = None
    zero_pages: int = None
    unchanged_pages: int = None
    bytes: int = None
    start: float = None  # on the loop's clock
    seconds: float = None
    left_pages: int = None  # that the guest wrote meanwhile


@dataclass
class Report:
    """What the VMM itself says of a migration."""
    ok: bool
    text: str = ""  # why not
    downtime: float = None
    seconds: float = None
    bytes: int = None
    rounds: list = field(default_factory=list)


class Process:
    def __init__(self, command, pass_fds=()):
        self.command, self.pass_fds = command, pass_fds
        self.console = []  # (time, byte)
        self.errors = b""

    async def start(self):
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, pass_fds=self.pass_fds)
        self.readers = [asyncio.create_task(self.read_console()), asyncio.create_task(self.read_errors())]

    async def read_console(self):
        loop = asyncio.get_running_loop()
        while data := await self.process.stdout.read(4096):
            now = loop.time()
            self.console += ((now, byte) for byte in data)

    async def read_errors(self):
        while data := await self.process.stderr.read(4096):
            self.errors += data

    def printed(self):
        return bytes(byte for _, byte in self.console)

    async def await_console(self, is_enough, what):
        """Waits until is_enough(console); fails when the process ends, or after START_S."""
        loop = asyncio.get_running_loop()
        until = loop.time() + START_S
        while not is_enough(self.console):
            if self.process.returncode is not None or loop.time() > until:
                raise LabError("%s: %s (status %s): %s%s" % (self.command[0], what, self.process.returncode,
                               self.printed()[-200:].decode(errors="replace"), self.errors.decode(errors="replace")))
            await asyncio.sleep(0.002)

    async def stop(self):
        if self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 5)
            except asyncio.TimeoutError:
                self.process.kill()
                await self.process.wait()
        await asyncio.gather(*self.readers)


class Lines:
    """A socket at which a line is a request, and a JSON object in a line is a reply, or an event."""

    def __init__(self, sock):
        self.socket = sock
        self.socket.setblocking(False)
        self.waiting = b""

    def send(self, line, *fds):
        socket.send_fds(self.socket, [line.encode() + b"\n"], fds)

    async def receive(self):
        while b"\n" not in self.waiting:
            data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 1 << 16), START_S)
            if not data:
                raise LabError("the machine has ended")
            self.waiting += data
        line, self.waiting = self.waiting.split(b"\n", 1)
        return json.loads(line)


class Vmm:
    """What both have in common.  work: a Work (__main__.py)."""

    def __init__(self, work):
        self.work = work
        self.incoming, self.theirs = socket.socketpair()

    async def start_both(self, source, target):
        os.set_inheritable(self.theirs.fileno(), True)
        self.source, self.target = Process(*source), Process(*target)
        await self.target.start()
        self.theirs.close()
        await self.source.start()
        await self.source.await_console(lambda console: READY in self.source.printed(), "the guest is not ready")

    async def stop(self):
        await asyncio.gather(self.source.stop(), self.target.stop())
        self.incoming.close()


class Stasis(Vmm):
    name = "Stasis"
    counts_all = True  # bytes, in its report
    modes = {"pre-copy": [], "post-copy": ["post-copy"]}  # words of the request to migrate (docs/CONTROL.md)

    async def start(self, folder):
        work, control = self.work, os.path.join(folder, "control")
        stasis = os.path.join(work.build, "stasis")
        guest = os.path.join(work.guests, "paced.bin")
        fd = self.theirs.fileno()
        await self.start_both(
            ([stasis, "run", "--long", "--mem", "%dM" % work.ram_mib, "--cpus", str(work.cpus), "--append",
              work.command_line, "--control", control, guest],),
            ([stasis, "receive", "fd:%d" % fd], (fd,)))
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(control)
        self.control = Lines(sock)

    async def ask(self, request, *fds):
        self.control.send(request, *fds)
        reply = await self.control.receive()
        if not reply["ok"]:
            raise LabError("%s: %s" % (request, reply["error"]["text"]))
        return reply

    async def move(self, fd):
        work = self.work
        words = ["downtime_us=%d" % (work.downtime * 1e6), "bandwidth=%d" % work.bandwidth] + self.modes[work.mode]
        job = (await self.ask("migrate lab " + " ".join(words), fd))["job"]
        while True:
            last = (await self.ask("status %d" % job)).get("last")
            if last:
                break
            await asyncio.sleep(POLL_S)
        if not last["ok"]:
            return Report(False, last["error"]["text"])
        rounds = [Round(told["data_pages"], told["zero_pages"], told["unchanged_pages"], told["sent_bytes"], None,
                        told["took_us"] / 1e6, told["left_pages"]) for told in last["rounds"]]
        return Report(True, "", last["pause_us"] / 1e6, last["elapsed_us"] / 1e6, last["sent_bytes"], rounds)

    async def stop(self):
        self.control.socket.close()
        await super().stop()


class Qemu(Vmm):
    """With its defaults, but for the bandwidth and the downtime that both get."""
    name = "QEMU"
    counts_all = False
    program = "qemu-system-x86_64"
    modes = {"pre-copy": {}}  # capabilities, besides events

    async def start(self, folder):
        work, bios = self.work, os.path.join(folder, "bios")
        self.qmp_sockets = [socket.socketpair(), socket.socketpair()]
        with open(os.path.join(work.guests, "paced_bios.bin"), "rb") as file:
            image = bytearray(file.read())
        BOOT_INFO.pack_into(image, BIOS_INFO, BOOT_INFO_MAGIC, work.ram_mib << 20, 0, work.cpus, IRQCHIP_FULL, 0,
                            work.command_line.encode())
        with open(bios, "wb") as file:
            file.write(image)
        common = [self.program, "-machine", "microvm,accel=kvm,x-option-roms=off,rtc=off", "-bios", bios,
                  "-nodefaults", "-no-user-config", "-display", "none", "-m", "%dM" % work.ram_mib, "-smp", str(work.cpus),
                  "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-serial", "stdio"]
        fds = [theirs.fileno() for _, theirs in self.qmp_sockets]
        monitors = [["-chardev", "socket,id=qmp,fd=%d" % fd, "-mon", "chardev=qmp,mode=control"] for fd in fds]
        await self.start_both((common + monitors[0], fds[:1]),
                              (common + monitors[1] + ["-incoming", "fd:%d" % self.theirs.fileno()],
                               (fds[1], self.theirs.fileno())))
        self.qmp = [Lines(ours) for ours, _ in self.qmp_sockets]
        for _, theirs in self.qmp_sockets:
            theirs.close()
        self.passes = []  # times at which one began, and at which the guest was stopped
        self.stopped = None
        for qmp in self.qmp:
            await qmp.receive()
            await self.execute(qmp, "qmp_capabilities")

    async def execute(self, qmp, command, arguments=None, *fds):
        qmp.send(json.dumps({"execute": command, "arguments": arguments or {}}), *fds)
        while True:
            reply = await qmp.receive()
            if reply.get("event") in ("MIGRATION_PASS", "STOP") and self.stopped is None:
                self.passes.append(asyncio.get_running_loop().time() - (time.time() - seconds_of(reply["timestamp"])))
                self.stopped = self.passes[-1] if reply["event"] == "STOP" else None
            if "error" in reply:
                raise LabError("QEMU: %s: %s" % (command, reply["error"]["desc"]))
            if "return" in reply:
                return reply["return"]

    async def move(self, fd):
        work, source = self.work, self.qmp[0]
        capabilities = [{"capability": name, "state": True} for name in ["events", *self.modes[work.mode]]]
        await self.execute(source, "migrate-set-capabilities", {"capabilities": capabilities})
        await self.execute(source, "migrate-set-parameters", {"max-bandwidth": int(work.bandwidth),
                                                              "downtime-limit": int(work.downtime * 1000)})
        await self.execute(source, "getfd", {"fdname": "lab"}, fd)
        await self.execute(source, "migrate", {"uri": "fd:lab"})
        while (told := await self.execute(source, "query-migrate"))["status"] not in ("completed", "failed", "cancelled"):
            await asyncio.sleep(POLL_S)
        if told["status"] != "completed":
            return Report(False, told.get("error-desc", told["status"]))
        await asyncio.sleep(POLL_S)  # it may have been completed before it knew its downtime
        told = await self.execute(source, "query-migrate")
        # It looks twice before it stops the guest: that is no round.
        times = [time for time, behind in zip(self.passes, self.passes[1:]) if behind - time > ROUND_MIN_S] + self.passes[-1:]
        rounds = [Round(start=start, seconds=end - start) for start, end in zip(times, times[1:])]
        return Report(True, "", told["downtime"] / 1e3, told["total-time"] / 1e3, told["ram"]["transferred"], rounds)

    async def stop(self):
        for ours, _ in self.qmp_sockets:
            ours.close()
        await super().stop()
