# The pickle module, C and Python, with objects, sharing and dates
import datetime
import io
import pickle
import time


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y


def work():
    shared = ["shared"] * 3
    data = [{"p": Point(i, -i), "d": datetime.date(2020, 1, 1 + i % 28), "s": shared, "t": (i, str(i), float(i)), "b": b"x" * (i % 50)} for i in range(800)]
    total = 0
    for _ in range(20):
        text = pickle.dumps(data, 5)
        total += len(text) + len(pickle.loads(text))
    f = io.BytesIO()
    pickle._Pickler(f, 2).dump(data[:200])
    return total + len(f.getvalue())


start = time.process_time()
result = work()
print(result, time.process_time() - start)
