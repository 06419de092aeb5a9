#!/usr/bin/env python3
"""usage: make.py STASIS FOLDER

Makes the golden files of a released state (KVM): snapshots as this program writes them, each with what inspect says of it.
They are made once, when a version is released, and never again: later programs must read them as they are.
FOLDER is named as the version.  The newer-* files are one of them, changed by hand into what no program writes yet.
"""
import gzip
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reader"))
from read_snapshot import HEADER, SECTION, crc32c  # noqa: E402

RAM = "2M"
NAMES = {  # name of the file: the guest, and when its snapshot is taken
    "regs": ["--guest", "regs", "--at", "checkpoint=2"],
    "interrupt": ["--guest", "interrupt", "--at", "checkpoint=3"],
    "exception": ["--guest", "exception", "--irqchip", "none", "--at", "checkpoint=2"],
    "smp": ["--guest", "smp", "--cpus", "2", "--irqchip", "split", "--at", "checkpoint=1"],
    "hello": ["--guest", "hello", "--irqchip", "none", "--at", "exits=9"],
    "stream": ["--guest", "counter", "--at", "checkpoint=3"],
}
VERSION, WRITER, KERNEL, TABLE_CRC, HEADER_CRC = 1, 9, 10, 14, 15  # fields of the header
REGS = 41


def change(snapshot, change_header=None, change_section=None):
    """Returns the snapshot with changed header fields and section entries, and right checksums."""
    header = list(HEADER.unpack_from(snapshot))
    table_size = header[4] * SECTION.size
    table = bytearray(snapshot[HEADER.size : HEADER.size + table_size])
    for at in range(0, table_size, SECTION.size):
        entry = list(SECTION.unpack_from(table, at))
        if change_section:
            change_section(entry)
        SECTION.pack_into(table, at, *entry)
    if change_header:
        change_header(header)
    header[TABLE_CRC] = crc32c(bytes(table))
    header[HEADER_CRC] = crc32c(HEADER.pack(*header)[:-4])
    return HEADER.pack(*header) + bytes(table) + snapshot[HEADER.size + table_size :]


def forget_build(header):
    """Of the kernel's release, the part that is the same wherever that kernel is built."""
    header[KERNEL] = header[KERNEL].rstrip(b"\0").split(b"-")[0]


def newer(snapshot, version=None, component=None, component_version=None):
    def change_header(header):
        header[WRITER] = b"stasis 9.0.0"
        header[VERSION] = version or header[VERSION]

    def change_section(entry):
        if entry[0] == REGS:
            entry[0] = component or entry[0]
            entry[2] = component_version or entry[2]

    return change(snapshot, change_header, change_section)


def keep(folder, name, snapshot):
    with open(os.path.join(folder, name + ".snap.gz"), "wb") as file:
        file.write(gzip.compress(snapshot, 9, mtime=0))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    stasis, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        for name, words in NAMES.items():
            path = os.path.join(work, name)
            command = [stasis, "run", "--cpu", "x86-64-v1", "--mem", RAM, *words, "--snapshot"]
            if name == "stream":
                with open(path, "wb") as file:
                    subprocess.run([*command, "-"], check=True, stdout=file, stderr=subprocess.DEVNULL)
            else:
                subprocess.run([*command, path], check=True, stdout=subprocess.DEVNULL)
            with open(path, "rb") as file:
                snapshot = change(file.read(), forget_build)
            with open(path, "wb") as file:
                file.write(snapshot)
            keep(folder, name, snapshot)
            with open(os.path.join(folder, name + ".txt"), "wb") as file:
                subprocess.run([stasis, "inspect", path], check=True, stdout=file)
        keep(folder, "newer-format", newer(snapshot, version=2))
        keep(folder, "newer-component", newer(snapshot, component_version=2))
        keep(folder, "newer-unknown", newer(snapshot, component=999, component_version=1))


if __name__ == "__main__":
    main()
