"""Stands between a source (standard input and output) and a receiver's socket, and cuts both off at a message, or
keeps it back for so many seconds.

usage: migrate_relay.py SOCKET TYPE before|behind|SECONDS
"""
import os
import select
import socket
import struct
import sys
import time

HEADER = 32
path, wanted, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
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
            if kind == wanted and how == "before":
                sys.exit()
            if kind == wanted and how != "behind":
                time.sleep(int(how))
            write(other[fd], waiting[fd][:size])
            if kind == wanted and how == "behind":
                sys.exit()
            waiting[fd] = waiting[fd][size:]
