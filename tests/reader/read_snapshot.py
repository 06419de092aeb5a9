#!/usr/bin/env python3
"""usage: read_snapshot.py FILE

Lists and verifies a snapshot file or stream, by docs/FORMAT.md alone: it shares nothing with the program.
Prints a line for each section and register; status 1 and a sentence where the snapshot is damaged.
"""
import os
import stat
import struct
import sys

HEADER = struct.Struct("<8sIIIIQ16s16sQ32s96s16s64s8sII")
SECTION = struct.Struct("<HHHHQQII")
PAGES = struct.Struct("<QII")
RANGE = struct.Struct("<QQII")
REGISTER = struct.Struct("<QQ")

MAGIC = b"\x89STA\r\n\x1a\n"
FILE, STREAM = 1, 2
PAGE, CHUNK, STATE_MAX = 4096, 1 << 20, 64 << 20
ZERO_PAGE = bytes(PAGE)
ENTRIES_MAX = 1024

MACHINE, RAM, CPUID, REGISTERS, NESTED = 1, 2, 32, 40, 43
RAM_CHECKSUMS, PARENT, RAM_PAGES = 0xff01, 0xff02, 0xff03
# What belongs to a file and not to the machine.
FRAMES = {RAM_CHECKSUMS: "ram-checksums", PARENT: "parent", RAM_PAGES: "ram-pages"}
RAM_PLACED = 2  # the version of a RAM section that may start anywhere behind the state
PARENT_NAME_MAX = 4095
OPTIONAL = (NESTED, 98)  # a file may lack them
VCPU, VM = True, False
ANY, LAPIC, FULL = (0, 1, 2), (1, 2), (2,)

# id: name, one for each vCPU or for the machine, controllers, bytes (of a list: of an entry)
COMPONENTS = {
    1: ("machine", VM, ANY, 144),
    32: ("cpuid", VCPU, ANY, 40),
    33: ("mp_state", VCPU, ANY, 4),
    34: ("tsc", VCPU, ANY, 24),
    35: ("sregs", VCPU, ANY, 320),
    36: ("xcrs", VCPU, ANY, 392),
    37: ("xsave", VCPU, ANY, 10824),
    38: ("debugregs", VCPU, ANY, 128),
    39: ("lapic", VCPU, LAPIC, 1024),
    40: ("registers", VCPU, ANY, 16),
    41: ("regs", VCPU, ANY, 144),
    42: ("events", VCPU, ANY, 64),
    43: ("nested", VCPU, ANY, 128),
    64: ("pic-master", VM, FULL, 520),
    65: ("pic-slave", VM, FULL, 520),
    66: ("ioapic", VM, FULL, 520),
    67: ("clock", VM, ANY, 48),
    68: ("pit", VM, FULL, 112),
    96: ("uart", VM, ANY, 32),
    97: ("ports", VM, ANY, 8),
    98: ("generation", VM, ANY, 16),
}
NEVER_REGISTERS = [0x2030000200000000 + msr for msr in (0x10, 0x1B, 0xC0000080, 0x4B564DFF)]


class Damaged(Exception):
    pass


def expect(condition, sentence):
    if not condition:
        raise Damaged(sentence)


# CRC-32C.


def table_row(byte):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


TABLE = [table_row(byte) for byte in range(256)]


def crc_register(register, data):
    for byte in data:
        register = register >> 8 ^ TABLE[(register ^ byte) & 0xFF]
    return register


# A page of zeros changes the register linearly, so what it does to each bit says what it does to any value.
ZERO_PAGE_BITS = [crc_register(1 << bit, ZERO_PAGE) for bit in range(32)]


def crc32c(data, crc=0):
    register = crc ^ 0xFFFFFFFF
    for at in range(0, len(data), PAGE):
        page = data[at : at + PAGE]
        if page == ZERO_PAGE:
            result = 0
            for bit in range(32):
                if register >> bit & 1:
                    result ^= ZERO_PAGE_BITS[bit]
            register = result
        else:
            register = crc_register(register, page)
    return register ^ 0xFFFFFFFF


def text(field):
    return field.rstrip(b"\0").decode("ascii", "backslashreplace")


class Reader:
    def __init__(self, file):
        self.file = file
        self.is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        self.offset = 0

    def read(self, size, what):
        data = self.file.read(size)
        expect(len(data) == size, f"truncated: {what} at offset {self.offset} needs {size} bytes, has {len(data)}")
        self.offset += size
        return data

    def skip_to(self, offset):
        gap = self.read(offset - self.offset, "padding")
        expect(not any(gap), f"the bytes in front of offset {offset} are not zero")


def read_header(reader):
    raw = reader.read(HEADER.size, "the header")
    (magic, version, header_size, form, nr_sections, size, ident, parent, created, writer, kernel, vendor, brand,
     reserved, table_crc, header_crc) = HEADER.unpack(raw)
    expect(magic == MAGIC, "no snapshot: the magic is another")
    expect(version == 1, f"format version {version}, expected 1")
    expect(crc32c(raw[:-4]) == header_crc, "the header's checksum does not match")
    expect(header_size == HEADER.size, f"a header of {header_size} bytes, expected {HEADER.size}")
    expect(form in (FILE, STREAM), f"form {form}, expected 1 or 2")
    expect(1 <= nr_sections <= 512, f"{nr_sections} sections, expected 1 to 512")
    expect(not any(reserved), "reserved bytes of the header are not zero")
    print(f"form: {'file' if form == FILE else 'stream'}")
    print(f"id: {ident.hex()}")
    print(f"parent: {parent.hex() if any(parent) else 'none'}")
    print(f"created: {created} ns")
    for name, field in (("writer", writer), ("kernel", kernel), ("cpu_vendor", vendor), ("cpu_brand", brand)):
        print(f"{name}: {text(field)}")
    return form, nr_sections, size, table_crc, any(parent)


def check_table(table, form, end, size):
    seen = set()
    ram_seen = False
    for component, instance, version, reserved, offset, length, crc, reserved2 in table:
        is_ram = component == RAM
        name = f"section {component}, instance {instance}"
        expect(component in COMPONENTS or component in FRAMES or is_ram, f"{name}: an unknown component")
        expect(version == 1 or (is_ram and version == RAM_PLACED), f"{name}: an unknown version, {version}")
        expect(reserved == 0 and reserved2 == 0 and not (is_ram and crc), f"{name}: reserved fields are not zero")
        expect(form == FILE or (component not in FRAMES and not is_ram), f"{name}: not in a stream")
        expect((component, instance) not in seen, f"{name}: stands twice")
        expect(is_ram or not ram_seen, f"{name}: behind RAM")
        seen.add((component, instance))
        alignment = PAGE if is_ram else 16
        place = -(-end // alignment) * alignment
        if is_ram and not ram_seen and version == RAM_PLACED:
            expect(offset % PAGE == 0 and place <= offset <= STATE_MAX, f"{name}: at offset {offset}, behind {end}")
        else:
            expect(offset == place, f"{name}: at offset {offset}, behind {end}")
        ram_seen |= is_ram
        end = offset + length
        expect(is_ram or end <= STATE_MAX, f"{name}: state of more than {STATE_MAX} bytes")
    expect(end == size, f"the sections end at {end}, the header says {size}")


def check_registers(payload, where):
    ids = []
    for ident, value in REGISTER.iter_unpack(payload):
        kind = {0x20300002: "msr", 0x20300003: "synthetic"}.get(ident >> 32)
        expect(kind, f"{where}: register id {ident:#x} is of no known type")
        expect(ident not in NEVER_REGISTERS, f"{where}: register id {ident:#x} does not belong there")
        print(f"{where} {kind} 0x{ident:016x} = {value:#x}")
        ids.append(ident)
    expect(len(set(ids)) == len(ids), f"{where}: a register stands twice")


def check_payload(component, payload, where):
    name, _, _, unit = COMPONENTS[component]
    if component in (CPUID, REGISTERS):
        expect(len(payload) % unit == 0 and len(payload) <= ENTRIES_MAX * unit, f"{where}: {len(payload)} bytes")
    elif component == NESTED:
        expect(len(payload) >= unit, f"{where}: {len(payload)} bytes")
        expect(struct.unpack_from("<I", payload, 4)[0] == len(payload), f"{where}: its size field is another")
    else:
        expect(len(payload) == unit, f"{where}: {len(payload)} bytes, expected {unit}")
    if component == CPUID:
        keys = [payload[at : at + 8] for at in range(0, len(payload), unit)]
        expect(len(set(keys)) == len(keys), f"{where}: an entry stands twice")
    if component == REGISTERS:
        check_registers(payload, where)


def read_state(reader, table):
    """Returns the payloads by component and instance."""
    payloads = {}
    for component, instance, _, _, offset, length, crc, _ in table:
        if component == RAM:
            continue
        reader.skip_to(offset)
        payload = reader.read(length, f"section {component}")
        name = COMPONENTS[component][0] if component in COMPONENTS else FRAMES[component]
        where = f"{name} {instance}"
        expect(crc32c(payload) == crc, f"{where}: the checksum does not match")
        print(f"section {where}: {length} bytes at {offset}")
        if component in COMPONENTS:
            check_payload(component, payload, where)
        payloads[component, instance] = payload
    return payloads


def read_machine(payloads):
    """Returns number of vCPUs, controller, and the memory regions as (gpa, size)."""
    expect((MACHINE, 0) in payloads, "section machine is missing")
    payload = payloads[MACHINE, 0]
    nr_vcpus, irqchip = struct.unpack_from("<II", payload, 0)
    nr_ranges = struct.unpack_from("<I", payload, 0x28)[0]
    expect(1 <= nr_vcpus <= 16, f"{nr_vcpus} vCPUs")
    expect(irqchip in ANY, f"irqchip {irqchip}")
    expect(1 <= nr_ranges <= 4, f"{nr_ranges} memory regions")
    ranges = []
    for i in range(nr_ranges):
        gpa, size, flags, _ = RANGE.unpack_from(payload, 0x30 + i * RANGE.size)
        expect(size > 0 and (gpa | size) % PAGE == 0, f"memory region {i} is not of whole pages")
        print(f"memory region {i}: {size} bytes at {gpa:#x}{', ROM' if flags & 1 else ''}")
        ranges.append((gpa, size))
    return nr_vcpus, irqchip, ranges


def check_presence(payloads, nr_vcpus, irqchip):
    for component, (name, per_vcpu, controllers, _) in COMPONENTS.items():
        number = (nr_vcpus if per_vcpu else 1) if irqchip in controllers else 0
        found = {instance for (which, instance) in payloads if which == component}
        expect(found <= set(range(number)), f"section {name} belongs to nothing in this machine")
        expect(component in OPTIONAL or len(found) == number, f"section {name} is missing")


def read_parent(payloads, ranges, is_incremental):
    """Returns for each region which pages the file has: a function of their number."""
    for frame in (PARENT, RAM_PAGES):
        expect(((frame, 0) in payloads) == is_incremental, f"section {FRAMES[frame]} and the parent's id disagree")
    if not is_incremental:
        return [lambda page: True for _ in ranges]
    name = payloads[PARENT, 0]
    expect(1 <= len(name) <= PARENT_NAME_MAX and 0 not in name, "section parent is no file's name")
    print(f"parent's file: {name.decode('utf-8', 'backslashreplace')}")
    payload, at, result = payloads[RAM_PAGES, 0], 0, []
    for _, size in ranges:
        pages = size // PAGE
        length = -(-pages // 64) * 8
        bits = int.from_bytes(payload[at : at + length], "little")
        expect(bits >> pages == 0, "section ram-pages has bits behind a region")
        print(f"pages: {bin(bits).count('1')} of {pages}")
        result.append(lambda page, bits=bits: bits >> page & 1)
        at += length
    expect(at == len(payload), f"ram-pages of {len(payload)} bytes, expected {at}")
    return result


def read_ram_sections(reader, table, ranges, checksums, has_page):
    regions = [entry for entry in table if entry[0] == RAM]
    expect(len(regions) == len(ranges), f"{len(regions)} RAM sections, expected {len(ranges)}")
    chunks = sum(-(-size // CHUNK) for _, size in ranges)
    expect(len(checksums) == 4 * chunks, f"ram-checksums of {len(checksums)} bytes, expected {4 * chunks}")
    expected = iter(struct.unpack(f"<{chunks}I", checksums))
    for number, (entry, (gpa, size)) in enumerate(zip(regions, ranges)):
        expect(entry[1] == number and entry[5] == size, f"RAM section {number} is not of the machine's region")
        reader.skip_to(entry[4])
        for at in range(0, size, CHUNK):
            data = reader.read(min(CHUNK, size - at), "RAM")
            expect(crc32c(data) == next(expected), f"RAM at {gpa + at:#x}: the checksum does not match")
            for start in range(0, len(data), PAGE):
                expect(has_page[number]((at + start) // PAGE) or data[start : start + PAGE] == ZERO_PAGE,
                       f"RAM at {gpa + at + start:#x}: a page of the parent's that is not zero here")
    expect(reader.file.read(1) == b"", "bytes follow the last section")


def read_page_records(reader, ranges):
    records = 0
    while True:
        raw = reader.read(PAGES.size, "a page record")
        gpa, length, crc = PAGES.unpack(raw)
        inside = any(start <= gpa and gpa + length <= start + size for start, size in ranges)
        expect(length <= CHUNK and (gpa | length) % PAGE == 0 and (inside or length == 0),
               f"a page record of {length} bytes at {gpa:#x} is not RAM of this machine")
        data = reader.read(length, "pages")
        expect(crc32c(data, crc32c(raw[:12])) == crc, f"pages at {gpa:#x}: the checksum does not match")
        if length == 0:
            print(f"page records: {records}")
            expect(not reader.is_regular or reader.file.read(1) == b"", "bytes follow the stream's end")
            return
        records += 1


def read_snapshot(file):
    reader = Reader(file)
    form, nr_sections, size, table_crc, is_incremental = read_header(reader)
    raw = reader.read(nr_sections * SECTION.size, "the section table")
    expect(crc32c(raw) == table_crc, "the section table's checksum does not match")
    table = list(SECTION.iter_unpack(raw))
    check_table(table, form, reader.offset, size)
    payloads = read_state(reader, table)
    nr_vcpus, irqchip, ranges = read_machine(payloads)
    check_presence(payloads, nr_vcpus, irqchip)
    expect(form == FILE or not is_incremental, "a stream with a parent")
    if form == FILE:
        has_page = read_parent(payloads, ranges, is_incremental)
        expect((RAM_CHECKSUMS, 0) in payloads, "section ram-checksums is missing")
        read_ram_sections(reader, table, ranges, payloads[RAM_CHECKSUMS, 0], has_page)
    else:
        read_page_records(reader, ranges)
    print("good")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        with open(sys.argv[1], "rb") as file:
            read_snapshot(file)
    except Damaged as damage:
        print(f"{sys.argv[1]}: {damage}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
