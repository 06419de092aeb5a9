"""Stands between a source and a target.  When the source says COMMIT, it cuts the connection to both; or, with FILE, lets
that through when FILE is there.

usage: control_doubt.py SOCKET TARGET-SOCKET [FILE]"""
import os, socket, struct, sys, threading, time

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
if len(sys.argv) > 3:
    while not os.path.exists(sys.argv[3]):
        time.sleep(0.02)
    target.sendall(message)
    stream.read()  # until the source has heard the answer, and closes
for end in (target, source):
    end.shutdown(socket.SHUT_RDWR)
