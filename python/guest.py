# The interpreter's half of package python, given to it with -c. It answers the
# host's requests on descriptor 3; other threads than the main one call the host
# on descriptor 4. Each message is four bytes of length, little-endian, and one
# value of marshal, version 2.
def _halite():
    import sys, os, marshal, signal, _thread, types
    main = sys.modules["__main__"].__dict__
    main.pop("_halite", None)
    handles, last, busy = {}, 0, False
    main_thread, lock = _thread.get_ident(), _thread.allocate_lock()
    plain = (type(None), bool, int, float, complex, str, bytes)

    class HostError(RuntimeError):
        """A function of the host has failed."""

    def send(fd, value):
        data = marshal.dumps(value, 2)
        data = memoryview(len(data).to_bytes(4, "little") + data)
        while data:
            data = data[os.write(fd, data):]

    def read(fd, n):
        data = os.read(fd, n)
        if len(data) == n:
            return data
        parts = [data]
        n -= len(data)
        while n:
            data = os.read(fd, n)
            if not data:
                raise SystemExit
            parts.append(data)
            n -= len(data)
        return b"".join(parts)

    def receive(fd):
        return marshal.loads(read(fd, int.from_bytes(read(fd, 4), "little")))

    def simple(v, depth=0):
        """v, in types that marshal knows, or TypeError."""
        t = type(v)
        if t in plain:
            return v
        if depth > 100:
            raise TypeError("nested too deeply, or containing itself")
        if t is list:
            return [simple(x, depth + 1) for x in v]
        if t is tuple:
            return tuple([simple(x, depth + 1) for x in v])
        if t is dict:
            return {simple(k, depth + 1): simple(x, depth + 1) for k, x in v.items()}
        if t is set or t is frozenset:
            return t([simple(x, depth + 1) for x in v])
        if t is bytearray or t is memoryview:
            return bytes(v)
        raise TypeError("no plain value: " + t.__name__)

    def outgoing(v):
        nonlocal last
        try:
            return ("v", simple(v))
        except (TypeError, RecursionError, RuntimeError):
            last += 1
            handles[last] = v
            try:
                text = repr(v)[:1000]
            except Exception:
                text = "<unprintable>"
            return ("o", last, type(v).__name__, text.encode("utf-8", "replace").decode())

    def incoming(v):
        return handles[v[1]] if v[0] == "o" else v[1]

    def resolve(name):
        parts = name.split(".")
        if parts[0] in main:
            value, rest = main[parts[0]], parts[1:]
        elif hasattr(main["__builtins__"], parts[0]) and len(parts) == 1:
            return getattr(main["__builtins__"], parts[0])
        else:
            import importlib
            if len(parts) == 1:
                raise NameError(f"name {name!r} is not defined")
            for i in range(len(parts) - 1, 0, -1):
                module = ".".join(parts[:i])
                try:
                    value, rest = importlib.import_module(module), parts[i:]
                    break
                except ModuleNotFoundError as e:
                    if i == 1 or e.name is None or not (module + ".").startswith(e.name + "."):
                        raise
        for p in rest:
            value = getattr(value, p)
        return value

    def serve(request):
        kind = request[0]
        if kind == "call":
            target = handles[request[1]] if type(request[1]) is int else resolve(request[1])
            return target(*[incoming(a) for a in request[2]], **{k: incoming(a) for k, a in request[3].items()})
        if kind == "eval":
            return eval(compile(request[1], "<eval>", "eval", dont_inherit=True), main)
        if kind == "exec":
            exec(compile(request[1], request[2], "exec", dont_inherit=True), main)
            return None
        if kind == "attr":
            return getattr(handles[request[1]], request[2])
        if kind == "set":
            main[request[1]] = incoming(request[2])
            return None
        if kind == "drop":
            for h in request[1]:
                handles.pop(h, None)
            return None
        if kind == "path":
            sys.path[:0] = request[1]
            return None
        raise RuntimeError("unknown request")

    def answer(request):
        nonlocal busy
        try:
            busy = True
            result = ("result", True, outgoing(serve(request)))
            busy = False
        except BaseException as e:
            busy = False
            result = ("result", False, describe(e))
        for f in (sys.stdout, sys.stderr):
            try:
                f.flush()
            except Exception:
                pass
        send(3, result)

    def describe(e):
        text = ""
        try:
            import traceback
            tb = e.__traceback__
            while tb is not None and tb.tb_frame.f_code.co_filename == "<string>":
                tb = tb.tb_next
            text = "".join(traceback.format_exception(type(e), e, tb))
        except BaseException:
            pass
        try:
            message = str(e)
        except BaseException:
            message = ""
        clean = lambda s: s.encode("utf-8", "replace").decode()
        return (type(e).__name__, clean(message), clean(text))

    def host(name, args, kwargs):
        nonlocal busy
        call = ("call", name, [outgoing(a) for a in args], {k: outgoing(a) for k, a in kwargs.items()})
        if _thread.get_ident() != main_thread:
            with lock:
                send(4, call)
                reply = receive(4)
        else:
            was, busy = busy, False
            send(3, call)
            while True:
                reply = receive(3)
                if reply[0] == "reply":
                    break
                answer(reply)
            busy = was
        if not reply[1]:
            raise HostError(reply[2])
        return incoming(reply[2])

    class Host(types.ModuleType):
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            def function(*args, **kwargs):
                return host(name, args, kwargs)
            function.__name__ = function.__qualname__ = name
            self.__dict__[name] = function
            return function

    try:
        import nacl  # the extension module, if it is there
    except ImportError:
        nacl = types.ModuleType("nacl", "What the program that embeds this interpreter offers.")
    nacl.__path__ = []
    nacl.host = Host("nacl.host", "Functions of the program that embeds this interpreter.")
    nacl.HostError = HostError
    sys.modules["nacl"], sys.modules["nacl.host"] = nacl, nacl.host

    def interrupt(number, frame):
        if busy:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    send(3, ("result", True, ("v", sys.version)))
    while True:
        answer(receive(3))


_halite()
