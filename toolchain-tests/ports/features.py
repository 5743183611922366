# Run by the machine's Python 3.11 and in the sandbox; the output must be the same.
import array, bisect, cmath, collections, contextlib, csv, dataclasses, datetime, decimal, enum, fractions, functools
import hashlib, heapq, io, itertools, json, math, operator, os, pickle, random, re, statistics, string, struct, sys, tempfile
import textwrap, threading, time, traceback, types, unicodedata, weakref, zoneinfo

print(2**200, -7 // 2, 7 % -3, 10**30 // 7**11, pow(3, 1000, 10**9 + 7), (0.1 + 0.2).hex(), 1e308 * 10, math.factorial(40))
print(cmath.sqrt(-2), complex(1, 2) ** 3, math.gamma(5.5), math.fsum([0.1] * 10), decimal.Decimal(1) / 7, fractions.Fraction(3, 7) + 1)
print("%5.2f|%-8s|%x" % (math.pi, "left", 255), f"{1234567.891:,.2f} {42:#b} {'x':^9} {0.00001234!r}", "ß".upper(), "\N{EURO SIGN}".encode())
print(sorted("The quick brown fox".split(), key=str.lower), [*itertools.permutations("abc", 2)][:4], functools.reduce(operator.mul, range(1, 11)))
print(collections.Counter("mississippi").most_common(2), collections.OrderedDict(a=1), heapq.nsmallest(3, [5, 1, 4, 2]), bisect.bisect([1, 3, 5], 3))
print(json.loads(json.dumps({"a": [1, 2.5, None, True], "ü": "€"})), pickle.loads(pickle.dumps({1: (2, [3])})), struct.pack("<ihd", 1, 2, 3.5).hex())
print(re.sub(r"(\w+) (\w+)", r"\2 \1", "hello world"), re.findall(r"(?P<y>\d{4})-(\d\d)", "2024-01 1999-12"), textwrap.fill("word " * 20, 40))
for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b"):
    print(name, hashlib.new(name, b"abc").hexdigest()[:32])
print(datetime.datetime(2024, 2, 29, 12) + datetime.timedelta(days=366), datetime.date(2000, 1, 1).strftime("%A %d %B"), datetime.timezone.utc)
random.seed(42)
print(random.random(), random.randint(1, 100), random.sample(range(50), 5), statistics.stdev([1, 2, 3, 4]))
print(unicodedata.name("é"), unicodedata.normalize("NFD", "é").encode(), array.array("d", [1, 2]).tobytes().hex())


@dataclasses.dataclass(order=True)
class Point:
    x: int
    y: int = 0


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


print(Point(1, 2) < Point(1, 3), Point(5), Colour(2), Colour.RED.name)


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def gen():
    try:
        got = yield 1
        yield got * 2
    finally:
        print("generator closed")


g = gen()
print(fib(18), next(g), g.send(21))
g.close()


def recurse(n):
    return recurse(n + 1)


try:
    recurse(0)
except RecursionError as e:
    print(type(e).__name__)
try:
    {}["missing"]
except KeyError:
    print(traceback.format_exc().splitlines()[-1])
try:
    try:
        1 / 0
    except ZeroDivisionError as e:
        raise ValueError("chained") from e
except* ValueError as group:
    print(group.exceptions, repr(group.exceptions[0].__cause__))

match {"kind": "point", "at": [1, 2]}:
    case {"kind": "point", "at": [x, y]}:
        print("matched", x, y)

results = []
lock = threading.Lock()


def work(i):
    with lock:
        results.append(sum(range(i * 1000)))


threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(sorted(results))
done = threading.Event()
threading.Timer(0.01, done.set).start()
print(done.wait(10))

with tempfile.TemporaryDirectory() as d:
    path = os.path.join(d, "data.csv")
    with open(path, "w", newline="") as f:
        csv.writer(f).writerows([["a", 1], ["b,c", 2]])
    with open(path, encoding="utf-8") as f:
        print(f.read().splitlines(), os.path.getsize(path), os.listdir(d))
    print([row for row in csv.reader(open(path))])
print(os.path.exists(path), io.StringIO("x\ny").readlines())
print(len(gc_test := [weakref.ref(Point(1)) for _ in range(3)]), [r() for r in gc_test])
print(time.strftime("%Y", time.gmtime(0)), zoneinfo.ZoneInfo.__name__, sys.version_info[:2], sys.byteorder, sys.maxsize)
with contextlib.suppress(Exception):
    print(eval("sum(i * i for i in range(10))"), types.SimpleNamespace(a=1), string.Template("$x!").substitute(x="t"))
