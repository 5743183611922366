# Generators, closures, exceptions and coroutines
import asyncio
import time


def tree(n):
    if n:
        yield from tree(n - 1)
        yield n
        yield from tree(n - 1)


def counter():
    n = 0

    def add(k):
        nonlocal n
        n += k
        return n
    return add


async def ping(n, queue, other):
    total = 0
    for i in range(n):
        await other.put(i)
        total += await queue.get()
    return total


async def both(n):
    a, b = asyncio.Queue(1), asyncio.Queue(1)
    return sum(await asyncio.gather(ping(n, a, b), ping(n, b, a)))


def work():
    total = sum(tree(15)) + asyncio.run(both(4000))
    add = counter()
    for i in range(150000):
        try:
            if i % 3 == 0:
                raise KeyError(i)
            add(i & 7)
        except KeyError as e:
            add(e.args[0] & 1)
    return total + add(0)


start = time.process_time()
result = work()
print(result, time.process_time() - start)
