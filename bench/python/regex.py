# The re module: tokens, addresses and substitutions in a text
import re
import time


def work():
    words = ["alpha", "beta-%d", "gamma@example%d.org", "\"a string %d\"", "0x%x", "3.%d", "if", "(", ")", "==", "# note %d"]
    lines = []
    for i in range(1500):
        lines.append(" ".join(w % i if "%" in w else w for w in words[i % 5:] + words[:i % 7]))
    text = "\n".join(lines)
    token = re.compile(r"""(?P<comment>\#[^\n]*)|(?P<string>"[^"\n]*")|(?P<number>0x[0-9a-f]+|\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<op>==|[-()@.])|(?P<space>\s+)""")
    counts = {}
    for m in token.finditer(text):
        counts[m.lastgroup] = counts.get(m.lastgroup, 0) + 1
    mails = re.findall(r"\b[\w.+-]+@[\w-]+\.[a-z]{2,3}\b", text)
    swapped = re.sub(r"(\w+)-(\d+)", lambda m: m[2] + "-" + m[1], text)
    slow = len(re.findall(r"(?:a|al|alp)*pha", text)) + len(re.split(r"[\s,;()]+", swapped))
    return "%d.%d.%d" % (sum(counts.values()), len(mails), slow)


start = time.process_time()
result = work()
print(result, time.process_time() - start)
