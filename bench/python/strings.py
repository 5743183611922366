# Strings and dicts: words counted, formatted, joined and sorted
import time


def work():
    total = 0
    text = " ".join("word%d %s" % (i * 7919 % 1000, "abcdefghij"[i % 10] * (i % 9)) for i in range(20000))
    for _ in range(6):
        counts = {}
        for w in text.split(" "):
            counts[w] = counts.get(w, 0) + 1
        ranked = sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))
        out = [f"{k:>12}|{v:05d}|{k.upper()[::-1]}" for k, v in ranked]
        joined = "\n".join(out)
        total += len(joined) + joined.count("WORD") + len(joined.replace("0", "zero").encode())
        total += sum(map(len, joined.splitlines()))
    return total


start = time.process_time()
result = work()
print(result, time.process_time() - start)
