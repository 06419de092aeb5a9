"""Draws moves with gnuplot: what went over the link, the rounds, and how long the guest stood still."""
import shutil
import subprocess

MIB = 1 << 20
COLUMN, HEIGHT = 560, 620  # pixels
POINTS = 150               # of a line
TERMINALS = {"svg": "svg size %d,%d dynamic font 'sans-serif,13' background '#ffffff'",
             "png": "pngcairo size %d,%d font 'sans-serif,10'"}

SENT = """
set ylabel 'over the link, MiB'
set yrange [0:%(mib_max)g]
set key top left
plot $sent%(n)d using 1:2 with lines lw 2 lc rgb '#1f5a96' title 'sent since the request'
"""
ROUNDS = """
set ylabel 'MiB a round'
set yrange [%(least)g:%(most)g]
set logscale y
set key top right
plot $rounds%(n)d using 1:4:2:3:(%(least)g):4 with boxxyerror fs solid 1 border lc rgb '#1f5a96' fc rgb '#9dc3e6' title 'sent', \\
     $rounds%(n)d using 1:5:2:3 with xerrorbars ps 0 lw 3 lc rgb '#c23b22' title 'written by the guest meanwhile'
unset logscale y
"""


def is_there():
    return shutil.which("gnuplot") is not None


def data(name, rows):
    return "$%s << END\n%s\nEND\n" % (name, "\n".join(" ".join("%.6g" % cell for cell in row) for row in rows))


def sent_rows(run):
    samples = [(time - run.asked, bytes / MIB) for time, bytes in run.link.there.samples]
    step = max(1, len(samples) // POINTS)
    return [(0, 0)] + samples[::step] + samples[-1:]


def round_rows(run):
    """Middle, begin, end, MiB sent, MiB written meanwhile; the last one is what went over while the guest stood still."""
    rows = []
    for moved in run.rounds:
        begin = moved.start - run.asked
        rows.append((begin + moved.seconds / 2, begin, begin + moved.seconds, moved.bytes / MIB, moved.left_pages * 4096 / MIB))
    return rows


def pause(run, top):
    return "set object 1 rect from %g,graph 0 to %g,graph 1 fc rgb '#f4c542' fs solid 0.45 noborder behind\n" % (
        run.left - run.asked, run.arrived - run.asked)


def script(runs, path):
    seconds = max(run.seconds for run in runs) * 1.05
    rounds = [round_rows(run) for run in runs]
    sizes = [size for rows in rounds for row in rows for size in row[3:] if size > 0]
    work = runs[0].work
    text = "set terminal " + TERMINALS[path.rsplit(".", 1)[-1]] % (COLUMN * len(runs), HEIGHT)
    text += "\nset output '%s'\n" % path
    text += "set multiplot layout 2,%d columnsfirst title \"%s\"\n" % (len(runs), describe(work))
    text += "set xlabel 'since the request, s'\nset xrange [0:%g]\nset grid\nset tics nomirror\n" % seconds
    for n, run in enumerate(runs):
        values = dict(n=n, mib_max=max(run.link.there.bytes for run in runs) * 1.25 / MIB,
                      least=min(sizes) / 2, most=max(sizes) * 4)
        text += data("sent%d" % n, sent_rows(run)) + data("rounds%d" % n, rounds[n])
        text += pause(run, values["mib_max"])
        text += "set title '%s: the guest stood still for %.1f ms (shaded); %.1f MiB in %.2f s'" % (
            run.vmm, run.downtime * 1000, run.link.bytes / MIB, run.seconds)
        text += SENT % values + "unset title" + ROUNDS % values
    return text + "unset multiplot\n"


def describe(work):
    return "%d MiB of RAM, %d MiB in use, %d pages/s written in %d MiB; link of %.0f MB/s and %.1f ms" % (
        work.ram_mib, work.used_mib, work.rate, work.set_mib, work.bandwidth / 1e6, work.latency * 1000)


def draw(runs, path):
    subprocess.run(["gnuplot"], input=script(runs, path).encode(), check=True)
