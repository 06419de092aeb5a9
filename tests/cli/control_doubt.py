"""Stands between a source and a target, and cuts the connection to both when the source says COMMIT.

usage: control_doubt.py SOCKET TARGET-SOCKET"""
import os, socket, struct, sys, threading

COMMIT, HEADER = 7, 32  # docs/MIGRATION.md

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(1)
source, _ = listener.accept()
os.unlink(sys.argv[1])
target = socket.socket(socket.AF_UNIX)
target.connect(sys.argv[2])


def back():
    while True:
        data = target.recv(65536)
        if not data:
            return
        source.sendall(data)


threading.Thread(target=back, daemon=True).start()
stream = source.makefile("rb")
while True:
    header = stream.read(HEADER)
    kind, size = struct.unpack("<6xH8xI", header[:20])
    message = header + stream.read(size)
    if kind == COMMIT:
        break
    target.sendall(message)
for end in (target, source):
    end.shutdown(socket.SHUT_RDWR)
