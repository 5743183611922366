# The module nacl, from a script's side. What each part prints is nothing: it asserts.
import ctypes, errno, gc, mmap, os, signal, struct, threading, time
import nacl


def fails(number, f, *args, **names):
    try:
        f(*args, **names)
    except OSError as e:
        assert e.errno == number, (e.errno, number)
    else:
        raise AssertionError("no error")


def messages():
    a, b = nacl.socketpair()
    assert nacl.send(a, b"hello") == 5
    assert nacl.receive(b) == (b"hello", [], 0)
    nacl.send(a, bytearray(b"0123456789"))
    assert nacl.receive(b, size=4)[0] == b"0123"
    nacl.send(a)
    assert nacl.receive(b, 0) == (b"", [], 0)
    fails(errno.EAGAIN, nacl.receive, b, flags=nacl.NONBLOCK)
    fails(errno.EBADF, nacl.receive, 999)
    for bad in ({"size": -1}, {"size": 1 << 40}):
        try:
            nacl.receive(b, **bad)
        except (ValueError, OverflowError, MemoryError):
            pass
        else:
            raise AssertionError(bad)
    for bad in (["x"], [1 << 40], 5, [None]):
        try:
            nacl.send(a, b"", bad)
        except (TypeError, OverflowError):
            pass
        else:
            raise AssertionError(bad)
    fails(errno.EINVAL, nacl.send, a, b"", [0] * 9)
    os.close(a)
    fails(errno.EIO, nacl.receive, b)
    os.close(b)


def connections():
    bound, address = nacl.makeboundsock()
    c = nacl.connect(address)
    s = nacl.accept(bound)
    x, y = nacl.socketpair()
    assert nacl.send(c, b"take", [y, nacl.NO_DESC, address]) == 4
    os.close(y)
    data, descs, flags = nacl.receive(s)
    assert data == b"take" and flags == 0 and descs[1] == -1, (data, descs, flags)
    nacl.send(descs[0], b"through it")
    assert nacl.receive(x)[0] == b"through it"
    # Who has got the address can connect.
    done = []
    t = threading.Thread(target=lambda: done.append(nacl.connect(descs[2], wait=True)))
    t.start()
    s2 = nacl.accept(bound)
    t.join()
    nacl.send(done[0], b"second")
    assert nacl.receive(s2)[0] == b"second"
    for fd in (c, s, x, s2, done[0], descs[0], descs[2], address):
        os.close(fd)
    fails(errno.EIO, nacl.accept, bound)  # nobody can connect any more
    os.close(bound)


def calls():
    bound, address = nacl.makeboundsock()

    def handler(data, descs):
        if data == b"refuse":
            raise PermissionError(errno.EPERM, "no")
        if data == b"break":
            raise ValueError("for the server's eyes")
        if data == b"nonsense":
            return 5
        if data == b"nothing":
            return None
        if descs:
            sizes = struct.pack("<I", len(descs))
            return sizes, descs
        return data * 2

    t = threading.Thread(target=nacl.serve, args=(bound, handler))
    t.start()
    assert nacl.call(address, b"ab") == (b"abab", [], 0)
    big = os.urandom(300000)
    assert nacl.call(address, big, size=700000)[0] == big * 2
    data, descs, flags = nacl.call(address, big, size=10)
    assert data == (big * 2)[:10] and flags == nacl.DATA_TRUNCATED
    assert nacl.call(address, b"nothing") == (b"", [], 0)
    pairs = [nacl.socketpair() for _ in range(8)]
    data, descs, flags = nacl.call(address, b"these", [p[1] for p in pairs])
    assert data == struct.pack("<I", 8) and len(descs) == 8, (data, descs, flags)
    nacl.send(descs[7], b"back")
    assert nacl.receive(pairs[7][0])[0] == b"back"
    fails(errno.EINVAL, nacl.call, address, b"too many", [address] * 9)
    fails(errno.EPERM, nacl.call, address, b"refuse")
    import sys
    seen = []
    sys.unraisablehook = lambda u: seen.append(u.exc_type)
    fails(errno.EIO, nacl.call, address, b"break")
    fails(errno.EIO, nacl.call, address, b"nonsense")
    sys.unraisablehook = sys.__unraisablehook__
    assert seen == [ValueError, TypeError], seen
    os.close(address)
    t.join()  # nobody can connect any more
    os.close(bound)
    for fd in descs + [fd for p in pairs for fd in p]:
        os.close(fd)


def shared_memory():
    fd = nacl.mem_obj_create(65536)
    a, b = mmap.mmap(fd, 65536), mmap.mmap(fd, 65536)
    a[100:105] = b"there"
    assert b[100:105] == b"there"
    a.close(), b.close(), os.close(fd)
    fails(errno.EINVAL, nacl.mem_obj_create, 1000)


def signals():
    a, b = nacl.socketpair()
    seen = []
    signal.signal(signal.SIGALRM, lambda *_: (seen.append(1), nacl.send(a, b"late")))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    assert nacl.receive(b)[0] == b"late" and seen  # the handler runs, and the wait goes on

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    bound, address = nacl.makeboundsock()
    for wait in (lambda: nacl.receive(b), lambda: nacl.accept(bound), lambda: nacl.serve(bound, bytes)):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            wait()
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("not interrupted")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for fd in (a, b, bound, address):
        os.close(fd)


def code():
    start, end = nacl.dyncode_region()
    assert 0 < start < end
    # mov $v, %eax; ret; nops
    returns = lambda v: (b"\xb8" + struct.pack("<I", v) + b"\xc3").ljust(32, b"\x90")
    nacl.dyncode_create(start, returns(1234))
    f = ctypes.CFUNCTYPE(ctypes.c_int)(start)
    assert f() == 1234
    fails(errno.EINVAL, nacl.dyncode_create, start, returns(1))
    nacl.dyncode_modify(start + 1, struct.pack("<I", 5678))
    assert f() == 5678
    fails(errno.EINVAL, nacl.dyncode_create, start + 32, b"\x0f\x05".ljust(32, b"\x90"))  # syscall
    fails(errno.EFAULT, nacl.dyncode_create, ctypes.cast(ctypes.pythonapi.Py_Initialize, ctypes.c_void_p).value & ~31, returns(1))
    while True:
        try:
            nacl.dyncode_delete(start, 32)
            break
        except BlockingIOError:
            pass
    try:
        nacl.dyncode_create(1 << 32, returns(1))
    except OverflowError:
        pass
    else:
        raise AssertionError("an address beyond the sandbox")


def open_descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


before = open_descriptors()
for part in (messages, connections, calls, shared_memory, signals, code):
    part()
    assert open_descriptors() == before, (part, open_descriptors(), before)
fails(errno.ENOSYS, nacl.return_and_wait, b"nobody asked")
print("nacl works")
