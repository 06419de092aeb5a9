"""Stands between a source (standard input and output) and a receiver's socket, and cuts both off at a message, or
keeps it back for so many seconds.

usage: migrate_relay.py SOCKET TYPE before|behind|SECONDS [NUMBER: the how manyth of the type, 1]
"""
import os
import select
import socket
import struct
import sys
import time

HEADER = 32
path, wanted, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
left = int(sys.argv[4]) if len(sys.argv) > 4 else 1
target = socket.socket(socket.AF_UNIX)
target.connect(path)
waiting = {0: b"", target.fileno(): b""}
other = {0: target.fileno(), target.fileno(): 1}

def write(fd, data):
    while data:
        select.select([], [fd], [])
        data = data[os.write(fd, data):]

while True:
    for fd in select.select(list(waiting), [], [])[0]:
        data = os.read(fd, 1 << 18)
        if not data:
            sys.exit()
        waiting[fd] += data
        while len(waiting[fd]) >= HEADER:
            kind, = struct.unpack_from("<H", waiting[fd], 6)
            size = HEADER + struct.unpack_from("<I", waiting[fd], 16)[0]
            if len(waiting[fd]) < size:
                break
            left -= kind == wanted
            is_it = kind == wanted and left == 0
            if is_it and how == "before":
                sys.exit()
            if is_it and how != "behind":
                time.sleep(int(how))
            write(other[fd], waiting[fd][:size])
            if is_it and how == "behind":
                sys.exit()
            waiting[fd] = waiting[fd][size:]
