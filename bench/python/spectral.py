# Functions and generator expressions: a spectral norm
import time


def a(i, j):
    return 1.0 / ((i + j) * (i + j + 1) // 2 + i + 1)


def times(u, rows):
    return [sum(a(i, j) * u[j] for j in rows) for i in rows]


def times_t(u, rows):
    return [sum(a(j, i) * u[j] for j in rows) for i in rows]


def work(n):
    rows = range(n)
    u = [1.0] * n
    for _ in range(4):
        v = times_t(times(u, rows), rows)
        u = times_t(times(v, rows), rows)
    return round((sum(x * y for x, y in zip(u, v)) / sum(x * x for x in v)) ** 0.5, 9)


start = time.process_time()
result = work(110)
print(result, time.process_time() - start)
