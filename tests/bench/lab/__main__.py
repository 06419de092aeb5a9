"""Moves a guest over a link of a chosen bandwidth and latency while it writes memory at a chosen pace; see docs/MIGRATION.md."""
import argparse
import asyncio
import os
import platform
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace

sys.dont_write_bytecode = True  # the sources' folder stays as it is

import plot
from link import Link
from machines import PAGE, READY, LabError, Qemu, Stasis

VMMS = {vmm.name.lower(): vmm for vmm in (Stasis, Qemu)}
SETTLE_S = 0.3   # the guest runs that long before the request, and behind the move
BEAT_SHIFT = 5    # paced.c: what is above are the beat's last bits, what is below the pages written since the one before
MIB = 1 << 20


@dataclass(frozen=True)
class Work:
    """What is to be moved, and over what."""
    build: str
    guests: str
    name: str = "as asked for"
    ram_mib: int = 128
    used_mib: int = 32
    set_mib: int = 16
    rate: int = 2000          # pages a second
    cpus: int = 1
    bandwidth: float = 50e6   # bytes a second
    latency: float = 0.0005   # seconds, one way
    downtime: float = 0.1     # seconds allowed
    mode: str = "pre-copy"
    tick: float = 0.001

    @property
    def command_line(self):
        return "used=%d set=%d rate=%d tick=%d" % (
            self.used_mib << 20 >> 12, self.set_mib << 20 >> 12, self.rate, self.tick * 1e6)


# The ready experiment: what differs from the defaults, or from what was asked for.  The link takes 12,200 pages a second.
WORKLOADS = [
    dict(name="idle", rate=0),
    dict(name="moderate", rate=2500),
    dict(name="moderate, 20 ms", rate=2500, downtime=0.02),
    dict(name="moderate, 4 vCPUs", rate=2500, cpus=4),
    dict(name="high", rate=9500, set_mib=32),
    dict(name="1 GiB", ram_mib=1024, used_mib=96, rate=2500),
]


@dataclass
class Run:
    """What came of one move."""
    vmm: str
    work: Work
    report: object
    asked: float           # all times on the loop's clock
    link: Link
    beats: list            # of the guest, at both: time, pages written since the one before
    left: float            # of the source's last beat
    arrived: float         # of the target's first

    def __post_init__(self):
        """The rounds; what the program does not tell is made up here.  Stasis: one begins where the one before ends, and the
        guest stands still behind the last.  QEMU: its bytes are the link's, and what it sends in a round was written in the
        one before."""
        self.rounds = self.report.rounds
        at = self.left - sum(moved.seconds for moved in self.rounds)
        for moved in self.rounds:
            moved.start = at if moved.start is None else moved.start
            at += moved.seconds
        for moved in self.rounds:
            if moved.bytes is None:
                moved.bytes = self.link.there.between(moved.start, moved.start + moved.seconds)
        rest = self.link.there.between(self.rounds[-1].start + self.rounds[-1].seconds, self.arrived)
        for moved, behind in zip(self.rounds, [other.bytes for other in self.rounds[1:]] + [rest]):
            if moved.left_pages is None:
                moved.left_pages = behind // PAGE

    @property
    def downtime(self):
        return self.arrived - self.left

    @property
    def seconds(self):
        return self.arrived - self.asked

    @property
    def other_gap(self):
        """The longest time without a beat since the request, but for the one in which the guest stood still."""
        times = [self.asked] + [time for time, _ in self.beats if time >= self.asked]
        return max(b - a for a, b in zip(times, times[1:]) if a != self.left)

    @property
    def rate(self):
        """Pages a second that the guest wrote meanwhile, by its own account."""
        return sum(pages for time, pages in self.beats if self.asked <= time <= self.left) / (self.left - self.asked)


def beats_of(vmm):
    """The beats of both consoles, (time, pages written before it); fails unless none is lost or printed twice (paced.c)."""
    source = vmm.source.console
    printed = vmm.source.printed()
    beats = source[printed.index(READY) + len(READY):] + vmm.target.console
    for i, (_, byte) in enumerate(beats):
        if byte >> BEAT_SHIFT != i % 8:
            raise LabError("%s: beat %d of the guest is number %d, expected %d; from there on: %r" % (
                vmm.name, i, byte >> BEAT_SHIFT, i % 8, bytes(byte for _, byte in beats[i:])[:300]))
    return [(time, byte & (1 << BEAT_SHIFT) - 1) for time, byte in beats]


async def move(kind, work):
    """Starts both sides, moves the guest once, and ends them."""
    loop = asyncio.get_running_loop()
    vmm = VMMS[kind](work)
    folder = tempfile.mkdtemp(prefix="migrate-lab-")
    link = None
    try:
        await vmm.start(folder)
        await asyncio.sleep(SETTLE_S)
        ours, theirs = socket.socketpair()
        link = Link(ours, vmm.incoming, work.bandwidth, work.latency)
        asked = loop.time()
        report = await vmm.move(theirs.fileno())
        theirs.close()
        if not report.ok:
            raise LabError("%s, %s: %s" % (vmm.name, work.name, report.text))
        if vmm.counts_all and report.bytes != link.there.bytes:
            raise LabError("%s: it says that it sent %d bytes, and %d went over the link" % (
                vmm.name, report.bytes, link.there.bytes))
        await vmm.target.await_console(len, "the guest does not run at the target")
        await asyncio.sleep(SETTLE_S)
        return Run(vmm.name, work, report, asked, link, beats_of(vmm), vmm.source.console[-1][0], vmm.target.console[0][0])
    finally:
        if link is not None:
            await link.close()
        await vmm.stop()
        shutil.rmtree(folder)


def middle(runs):
    """The run with the median downtime: what is shown of several."""
    return sorted(runs, key=lambda run: run.downtime)[len(runs) // 2]


def quartiles(values):
    values = sorted(values)
    return values[len(values) // 4], values[-1 - len(values) // 4]


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def rounds_table(runs):
    lines = [row("program", "round", "sent, MiB", "pages", "of zeros", "unchanged", "ms", "MB/s", "written meanwhile, pages", "a second"),
             "|---|" + "---:|" * 9]
    for run in runs:
        for i, moved in enumerate(run.rounds):
            told = ["-" if value is None else value for value in (moved.data_pages, moved.zero_pages, moved.unchanged_pages)]
            lines.append(row(run.vmm, i, "%.2f" % (moved.bytes / MIB), *told, "%.1f" % (moved.seconds * 1e3),
                             "%.1f" % (moved.bytes / max(moved.seconds, 1e-6) / 1e6), moved.left_pages, "%.0f" % (moved.left_pages / max(moved.seconds, 1e-6))))
    return lines


# Columns of the summary: heading, value of a run, how it is printed.  The medians of the turns are.
COLUMNS = [
    ("guest wrote, pages/s", lambda run: run.rate, "%.0f"),
    ("stood still, ms", lambda run: run.downtime * 1e3, "%.1f"),
    ("by its report, ms", lambda run: run.report.downtime * 1e3, "%.1f"),
    ("longest other gap, ms", lambda run: run.other_gap * 1e3, "%.1f"),
    ("all, s", lambda run: run.seconds, "%.2f"),
    ("over the link, MiB", lambda run: run.link.bytes / MIB, "%.1f"),
    ("rounds", lambda run: len(run.rounds), "%.0f"),
]
# Of these, the ratio to the last program in the same turn, too.
RATIOS = [
    ("stood still, ratio", lambda run: run.downtime),
    ("all, ratio", lambda run: run.seconds),
    ("bytes, ratio", lambda run: run.link.bytes),
]


def ratio_cell(of_work, kind, value):
    """The median and the middle half."""
    last = list(of_work[0])[-1]
    ratios = [value(turn[kind]) / value(turn[last]) for turn in of_work]
    if kind == last:
        return "1.00"
    return "%.2f (%.2f to %.2f)" % (statistics.median(ratios), *quartiles(ratios))


def summary_table(results):
    """results: of each work, a list of {kind: Run}, one a turn."""
    lines = [row("work", "program", *(name for name, *_ in COLUMNS + RATIOS)), "|---|---|" + "---:|" * len(COLUMNS + RATIOS)]
    for of_work in results:
        for kind in of_work[0]:
            runs = [turn[kind] for turn in of_work]
            cells = [form % statistics.median(value(run) for run in runs) for _, value, form in COLUMNS]
            cells += [ratio_cell(of_work, kind, value) for _, value in RATIOS]
            lines.append(row(runs[0].work.name, runs[0].vmm, *cells))
    return lines


async def take_turns(works, kinds, turns):
    """Of each work a list of {kind: Run}; the programs take turns, in the opposite order every other time."""
    results = [[] for _ in works]
    for turn in range(turns):
        for work, of_work in zip(works, results):
            runs = {}
            for kind in kinds if turn % 2 == 0 else kinds[::-1]:
                runs[kind] = await move(kind, work)
                print("%s, %s: stood still for %.1f ms, %.1f MiB in %.2f s" % (
                    work.name, kind, runs[kind].downtime * 1e3, runs[kind].link.bytes / MIB, runs[kind].seconds), file=sys.stderr)
            of_work.append({kind: runs[kind] for kind in kinds})
    return results


def parse():
    default = Work("", "")
    parser = argparse.ArgumentParser(prog="migrate-lab", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--build", default="build", help="folder of the build: its stasis, and tests/bench with the guest")
    add("--programs", default="stasis,qemu", help="which, of stasis and qemu, in which order; ratios are by the last one")
    add("--compare", action="store_true", help="the ready experiment: several workloads, one table")
    add("--turns", type=int, default=1, help="how often each program moves each workload")
    add("--plot", metavar="FILE", help=".svg or .png: draws, of each program, the move with the median downtime")
    add("--plot-of", metavar="NAME", default="high", help="with --compare: of which workload")
    add("--ram", dest="ram_mib", type=int, default=default.ram_mib, metavar="MIB", help="the guest's RAM")
    add("--used", dest="used_mib", type=int, default=default.used_mib, metavar="MIB", help="of which it has filled so much")
    add("--set", dest="set_mib", type=int, default=default.set_mib, metavar="MIB", help="of which it writes so much over and over")
    add("--rate", type=int, default=default.rate, metavar="PAGES", help="how many pages it writes a second")
    add("--cpus", type=int, default=default.cpus, help="vCPUs that share the writing")
    add("--bandwidth", type=float, default=default.bandwidth, metavar="BYTES", help="of the link, a second, in each direction")
    add("--latency", type=float, default=default.latency, metavar="S", help="of the link, one way")
    add("--downtime", type=float, default=default.downtime, metavar="S", help="how long the guest may stand still")
    add("--mode", default=default.mode, help="how it is moved: " + ", ".join(Stasis.modes))
    add("--tick", type=float, default=default.tick, metavar="S", help="between two beats of the guest")
    options = parser.parse_args()
    options.programs = options.programs.split(",")
    for kind in options.programs:
        if kind not in VMMS:
            parser.error("--programs %s: expected one or more of %s" % (kind, ", ".join(VMMS)))
        if options.mode not in VMMS[kind].modes:
            parser.error("--mode %s: %s has %s" % (options.mode, VMMS[kind].name, ", ".join(VMMS[kind].modes)))
    if options.plot and not plot.is_there():
        parser.error("--plot: gnuplot is missing; scripts/install-deps.sh lab installs it")
    return options


def conditions(options):
    """A line on the machine, as tests/bench/run.sh has it."""
    with open("/proc/cpuinfo") as file:
        cpu = next((line.split(": ", 1)[1].strip() for line in file if line.startswith("model name")), "unknown CPU")
    text = "%s, %d CPUs, %s %s" % (cpu, os.cpu_count(), platform.system(), platform.release())
    if "qemu" in options.programs:
        told = subprocess.run([Qemu.program, "--version"], capture_output=True, text=True, check=True).stdout
        text += ", QEMU " + told.split()[3].split("(")[0]
    return "%s, load %.2f, %d turns; link of %g MB/s and %g ms, %g ms of standing still allowed:" % (
        text, os.getloadavg()[0], options.turns, options.bandwidth / 1e6, options.latency * 1e3, options.downtime * 1e3)


def go_ahead_of_others():
    """With the rights for it, all that is measured does, so that a busy machine disturbs it less."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        pass


def main():
    options = parse()
    go_ahead_of_others()
    build = os.path.abspath(options.build)
    fields = ("ram_mib", "used_mib", "set_mib", "rate", "cpus", "bandwidth", "latency", "downtime", "mode", "tick")
    asked = Work(build, os.path.join(build, "tests", "bench"), **{name: getattr(options, name) for name in fields})
    works = [replace(asked, **changes) for changes in WORKLOADS] if options.compare else [asked]
    print(conditions(options) + "\n", flush=True)
    # The default selector waits in whole milliseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        results = loop.run_until_complete(take_turns(works, options.programs, options.turns))
    except LabError as error:
        sys.exit("migrate-lab: %s" % error)
    if not options.compare:
        print("\n".join(rounds_table([middle([turn[kind] for turn in results[0]]) for kind in options.programs])) + "\n")
    print("\n".join(summary_table(results)))
    if options.plot:
        shown = [work.name for work in works].index(options.plot_of) if options.compare else 0
        plot.draw([middle([turn[kind] for turn in results[shown]]) for kind in options.programs], options.plot)


if __name__ == "__main__":
    main()
