# Objects and methods: a simulated operating system's scheduler
import time


class Packet:
    def __init__(self, link, ident, kind):
        self.link, self.ident, self.kind = link, ident, kind
        self.datum, self.data = 0, [0] * 4

    def append_to(self, queue):
        self.link = None
        if queue is None:
            return self
        p = queue
        while p.link is not None:
            p = p.link
        p.link = self
        return queue


class Task:
    def __init__(self, system, ident, priority, queue):
        self.system, self.ident, self.priority, self.queue = system, ident, priority, queue
        self.held = self.waiting = False
        system.tasks[ident] = self
        system.order.append(self)
        system.order.sort(key=lambda t: -t.priority)

    def take(self):
        p, self.queue = self.queue, self.queue.link
        return p


class System:
    def __init__(self):
        self.tasks, self.order, self.sent, self.holds = {}, [], 0, 0

    def send(self, packet, to):
        self.sent += 1
        t = self.tasks[to]
        packet.ident, packet.link = to, None
        t.queue = packet.append_to(t.queue)
        t.waiting = False

    def run(self):
        while True:
            for t in self.order:
                if not t.held and not t.waiting and t.step():
                    break
            else:
                return


class Idle(Task):
    def __init__(self, system, ident, count):
        super().__init__(system, ident, 0, None)
        self.control, self.count = 1, count

    def step(self):
        self.count -= 1
        if self.count == 0:
            self.held = True
            return True
        if self.control & 1 == 0:
            self.control //= 2
            to = 5
        else:
            self.control = self.control // 2 ^ 0xd008
            to = 6
        self.system.tasks[to].held = False
        return True


class Worker(Task):
    def __init__(self, *a):
        super().__init__(*a)
        self.to, self.letter = 3, 0

    def step(self):
        if self.queue is None:
            self.waiting = True
            return False
        p = self.take()
        self.to = 7 - self.to
        p.datum = 0
        for i in range(4):
            self.letter = self.letter % 26 + 1
            p.data[i] = self.letter
        self.system.send(p, self.to)
        return True


class Handler(Task):
    device = 5

    def __init__(self, *a):
        super().__init__(*a)
        self.work, self.free = None, None

    def step(self):
        while self.queue is not None:
            p = self.take()
            if p.kind == 1:
                self.work = p.append_to(self.work)
            else:
                self.free = p.append_to(self.free)
        w = self.work
        if w is not None:
            if w.datum >= 4:
                self.work = w.link
                self.system.send(w, 2)
                return True
            if self.free is not None:
                f, self.free = self.free, self.free.link
                f.datum = w.data[w.datum]
                w.datum += 1
                self.system.send(f, self.device)
                return True
        self.waiting = True
        return False


class HandlerB(Handler):
    device = 6


class Device(Task):
    pending = None

    def step(self):
        if self.queue is None:
            if self.pending is None:
                self.waiting = True
                return False
            p, self.pending = self.pending, None
            self.system.send(p, 3 if self.ident == 5 else 4)
            return True
        self.pending = self.take()
        self.held = True
        self.system.holds += 1
        return True


def work():
    total = 0
    for _ in range(6):
        s = System()
        Idle(s, 1, 4000)
        q = Packet(Packet(None, 0, 1), 0, 1)
        Worker(s, 2, 1000, q)
        for ident, kind, dev in ((3, Handler, 5), (4, HandlerB, 6)):
            q = None
            for _ in range(3):
                q = Packet(q, dev, 2)
            kind(s, ident, 2000 + ident, q)
        Device(s, 5, 4000, None)
        Device(s, 6, 5000, None)
        s.run()
        total += s.sent * 7 + s.holds
    return total


start = time.process_time()
result = work()
print(result, time.process_time() - start)
