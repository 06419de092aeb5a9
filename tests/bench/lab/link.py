"""A link between two sockets, with a bandwidth and a latency in each direction, that counts what goes over it."""
import asyncio

CHUNK = 64 << 10   # bytes read at once at most
CHUNK_S = 0.002    # and no more than go over in this time
BACKLOG_S = 0.005  # no more is taken from the sender than goes over in this time: then it has to wait


class Direction:
    """Bytes leave one behind the other at the bandwidth (bytes/s), and arrive the latency (s) later: a delay line."""

    def __init__(self, source, sink, bandwidth, latency):
        self.source, self.sink, self.bandwidth, self.latency = source, sink, bandwidth, latency
        self.chunk = max(512, min(CHUNK, int(bandwidth * CHUNK_S)))
        self.bytes = 0
        self.samples = []  # (time at which they left, bytes up to then)
        self.line = asyncio.Queue(maxsize=64 + int(bandwidth * latency / self.chunk))

    def between(self, begin, end):
        """How many bytes left between two times."""
        return self.before(end) - self.before(begin)

    def before(self, time):
        return max((bytes for left, bytes in self.samples if left <= time), default=0)

    async def take(self):
        loop = asyncio.get_running_loop()
        free_at = loop.time()
        data = True
        while data:
            try:
                data = await loop.sock_recv(self.source, self.chunk)
            except ConnectionError:
                data = b""
            now = loop.time()
            free_at = max(now, free_at) + len(data) / self.bandwidth
            self.bytes += len(data)
            self.samples.append((free_at, self.bytes))
            await self.line.put((free_at + self.latency, data))
            if free_at - now > BACKLOG_S:
                await asyncio.sleep(free_at - now - BACKLOG_S)

    async def give(self):
        loop = asyncio.get_running_loop()
        while True:
            due, data = await self.line.get()
            await asyncio.sleep(max(0, due - loop.time()))
            try:
                if not data:
                    self.sink.shutdown(1)
                    return
                await loop.sock_sendall(self.sink, data)
            except OSError:  # nobody is there any more
                return


class Link:
    """Between two connected sockets, which are its own from then on."""

    def __init__(self, source, target, bandwidth, latency):
        self.sockets = (source, target)
        for socket in self.sockets:
            socket.setblocking(False)
        self.there = Direction(source, target, bandwidth, latency)
        self.back = Direction(target, source, bandwidth, latency)
        self.tasks = [asyncio.create_task(step) for way in (self.there, self.back) for step in (way.take(), way.give())]

    @property
    def bytes(self):
        return self.there.bytes + self.back.bytes

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for socket in self.sockets:
            socket.close()
