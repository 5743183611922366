# The json module: nested records to text and back
import json
import time


def work():
    data = [{"id": i, "name": "entry %d" % i, "tags": ["a", "b", "ü" * (i % 5)], "value": i * 1.25,
             "nested": {"x": i, "y": [i, i + 1, None, True], "text": "line\n\"quoted\"" * 2}} for i in range(400)]
    total = 0
    for n in range(25):
        text = json.dumps(data, sort_keys=n % 2 == 0)
        total += len(text) + len(json.loads(text))
    return total


start = time.process_time()
result = work()
print(result, time.process_time() - start)
