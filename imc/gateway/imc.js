// The side of a page for halite's IMC gateway: capabilities, connections and calls
// over one WebSocket. An ES module without dependencies; docs/imc.md has the protocol.
//
//   const session = await connect("wss://host/imc");
//   const {data, descs} = await session.root.call("hello");
//
// Data is a Uint8Array; a string is sent as UTF-8. A descriptor in a message is an
// Endpoint, a Connection of data (dataPair), or null: the invalid descriptor.
// Files and shared memory can't be sent to a page.

const CONNECT = 1, ACCEPT = 2, REFUSE = 3, MESSAGE = 4, CREDIT = 5, CLOSE = 6, DROP = 7;
const INVALID = 0, ENDPOINT = 4, DATA = 13;
const WINDOW = 256 << 10, COST = 64;

export const MAX_DATA = 131072;
export const MAX_DESCS = 8;

const encoder = new TextEncoder();
const bytes = (data) => typeof data === "string" ? encoder.encode(data) : data ?? new Uint8Array();

// connect makes a session with a gateway.
export function connect(url) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url);
    ws.binaryType = "arraybuffer";
    ws.onopen = () => resolve(new Session(ws));
    ws.onerror = () => reject(new Error(`${url}: no connection`));
  });
}

// IMCError has what failed as a number of Linux (errno), 0 if there is none.
export class IMCError extends Error {
  constructor(message, errno) {
    super(message);
    this.errno = errno;
  }
}

const refused = () => new IMCError("the connection is refused", 111);

export class Session {
  #ws;
  #channels = new Map();
  #exports = new Map();
  #nextChannel = 0; // ours are even
  #nextCap = 1;

  constructor(ws) {
    this.#ws = ws;
    this.root = new Endpoint(this, 0);
    this.closed = new Promise((resolve) => {
      ws.onclose = (e) => {
        for (const c of this.#channels.values()) c._end();
        this.#channels.clear();
        this.#exports.clear();
        resolve(e);
      };
    });
    ws.onmessage = (e) => {
      try {
        this.#frame(new DataView(e.data));
      } catch (err) {
        ws.close(4000, String(err).slice(0, 100));
      }
    };
  }

  // close ends the session and everything that was reached through it.
  close() {
    this.#ws.close();
    return this.closed;
  }

  // serve makes an endpoint that the other side can connect to, once it is sent there:
  // onConnection gets each connection.
  serve(onConnection) {
    return new Endpoint(this, undefined, onConnection);
  }

  // serveCalls is serve for the convention of calls: handler gets (data, descs) and gives
  // data, {data, descs}, or a promise of either; what it throws fails the call.
  serveCalls(handler) {
    return this.serve(async (c) => {
      try {
        const {data, descs} = await receiveCall(c);
        let reply;
        try {
          reply = await handler(data, descs);
        } catch (err) {
          const text = bytes(String(err.message ?? err).slice(0, 1000));
          const b = new Uint8Array(4 + text.length);
          new DataView(b.buffer).setUint32(0, err.errno ?? 0, true);
          b.set(text, 4);
          await sendCall(c, b, [], 2);
          return;
        }
        if (reply instanceof Uint8Array || typeof reply === "string" || reply === undefined) reply = {data: reply};
        await sendCall(c, bytes(reply.data), reply.descs ?? []);
      } catch {
        // The caller went away, or sent what is no call.
      } finally {
        c.close();
      }
    });
  }

  // dataPair makes two ends for messages of data: the first is used here, the second is
  // to be sent, once.
  dataPair() {
    const c = new Connection(this, undefined);
    return [c, new DataEnd(c)];
  }

  _send(kind, number, size = 0) {
    const b = new Uint8Array(5 + size);
    const v = new DataView(b.buffer);
    v.setUint8(0, kind);
    v.setUint32(1, number, true);
    return [b, v];
  }

  _post(b) {
    if (this.#ws.readyState === 1) this.#ws.send(b);
  }

  _simple(kind, number, value) {
    const [b, v] = this._send(kind, number, value === undefined ? 0 : 4);
    if (value !== undefined) v.setUint32(5, value, true);
    this._post(b);
  }

  _open(c) {
    while (this.#channels.has(this.#nextChannel)) this.#nextChannel += 2;
    c._id = this.#nextChannel;
    this.#nextChannel = (this.#nextChannel + 2) % 0x80000000;
    this.#channels.set(c._id, c);
  }

  _forget(c) {
    this.#channels.delete(c._id);
  }

  _alive() {
    return this.#ws.readyState === 1;
  }

  // _message sends one message.
  _message(c, data, descs) {
    const [b, v] = this._send(MESSAGE, c._id, 1 + 5 * descs.length + data.length);
    v.setUint8(5, descs.length);
    const started = [];
    descs.forEach((d, i) => {
      const at = 6 + 5 * i;
      let kind = INVALID, number = 0;
      if (d instanceof Endpoint) {
        kind = ENDPOINT;
        while (this.#exports.has(this.#nextCap)) this.#nextCap++;
        number = this.#nextCap++;
        this.#exports.set(number, d);
      } else if (d instanceof DataEnd) {
        kind = DATA;
        this._open(d._c);
        number = d._c._id;
        started.push(d._c);
      }
      v.setUint8(at, kind);
      v.setUint32(at + 1, number, true);
    });
    b.set(data, 6 + 5 * descs.length);
    this._post(b);
    for (const s of started) s._ready();
  }

  #frame(v) {
    const kind = v.getUint8(0), number = v.getUint32(1, true);
    if (kind === DROP) {
      this.#exports.delete(number);
      return;
    }
    if (kind === CONNECT) {
      const target = this.#exports.get(v.getUint32(5, true));
      if (!target) {
        this._simple(REFUSE, number);
        return;
      }
      const c = new Connection(this, number);
      c._ready();
      this.#channels.set(number, c);
      target._connection(c, () => this._simple(ACCEPT, number));
      return;
    }
    const c = this.#channels.get(number);
    if (!c) return;
    switch (kind) {
      case ACCEPT:
        c._ready();
        break;
      case REFUSE:
        c._refused();
        this._forget(c);
        break;
      case CREDIT:
        c._credited(v.getUint32(5, true));
        break;
      case CLOSE:
        c._closed();
        break;
      case MESSAGE: {
        const n = v.getUint8(5), descs = [];
        for (let i = 0; i < n; i++) {
          const id = v.getUint32(7 + 5 * i, true);
          switch (v.getUint8(6 + 5 * i)) {
            case ENDPOINT:
              descs.push(new Endpoint(this, id));
              break;
            case DATA: {
              const d = new Connection(this, id);
              d._ready();
              this.#channels.set(id, d);
              descs.push(d);
              break;
            }
            default:
              descs.push(null);
          }
        }
        c._arrived({data: new Uint8Array(v.buffer, 6 + 5 * n).slice(), descs});
        break;
      }
      default:
        throw new Error(`a frame of type ${kind}`);
    }
  }
}

class DataEnd {
  constructor(c) {
    this._c = c;
  }
}

// Endpoint is the right to connect to somebody.
export class Endpoint {
  #session;
  #cap;
  #onConnection;

  constructor(session, cap, onConnection) {
    this.#session = session;
    this.#cap = cap;
    this.#onConnection = onConnection;
  }

  // connect gives a connection when it is accepted, and fails when it is refused.
  async connect() {
    const c = this._start();
    await c._accepted;
    return c;
  }

  // call calls the object behind the endpoint: {data, descs} of the reply. A signal of an
  // AbortController cancels it.
  async call(data, descs = [], {signal} = {}) {
    const c = await this.connect();
    const abort = () => c.close();
    signal?.addEventListener("abort", abort);
    try {
      signal?.throwIfAborted();
      await sendCall(c, bytes(data), descs);
      return await receiveCall(c, true);
    } catch (err) {
      signal?.throwIfAborted();
      throw err;
    } finally {
      signal?.removeEventListener("abort", abort);
      c.close();
    }
  }

  // close gives the endpoint up, so that its object can learn that nobody has it.
  close() {
    if (this.#cap) this.#session._simple(DROP, this.#cap);
    this.#cap = null;
  }

  _start() {
    if (!this.#session._alive() || this.#cap === null) throw refused();
    if (this.#onConnection) {
      // An object of this page, called by this page.
      const [a, b] = localPair();
      queueMicrotask(() => this.#onConnection(b));
      return a;
    }
    const c = new Connection(this.#session, undefined);
    this.#session._open(c);
    this.#session._simple(CONNECT, c._id, this.#cap);
    return c;
  }

  // _connection serves one that the other side makes.
  _connection(c, accept) {
    if (this.#onConnection) {
      accept();
      this.#onConnection(c);
      return;
    }
    // The other side's own capability came back to it: pass the connection on.
    this.connect().then((far) => {
      accept();
      pass(c, far);
      pass(far, c);
    }, () => {
      c.session._simple(REFUSE, c._id);
      c.session._forget(c);
    });
  }
}

async function pass(from, to) {
  try {
    for (let m; (m = await from.receive());) await to.send(m.data, m.descs);
  } catch {
    // One of the two is closed.
  }
  to.close();
}

// Connection carries messages in both directions. Also the end of a data pair.
export class Connection {
  #queue = [];
  #waiting = [];
  #senders = [];
  #credit = WINDOW;
  #isReady = false;
  #ended = false; // the other side closed
  #done = false;  // we closed
  #accept;
  #refuse;

  constructor(session, id) {
    this.session = session;
    this._id = id;
    this._accepted = new Promise((resolve, reject) => {
      this.#accept = resolve;
      this.#refuse = reject;
    });
    this._accepted.catch(() => {});
  }

  // send sends a message, and waits while the other side has not received enough.
  async send(data, descs = []) {
    data = bytes(data);
    if (data.length > MAX_DATA) throw new IMCError(`${data.length} bytes, a message has at most ${MAX_DATA}`, 90);
    if (descs.length > MAX_DESCS) throw new IMCError(`${descs.length} descriptors, a message has at most ${MAX_DESCS}`, 22);
    for (const d of descs) {
      if (d !== null && !(d instanceof Endpoint) && !(d instanceof DataEnd)) throw new IMCError("this can't be sent to the other side", 95);
    }
    while ((!this.#isReady || this.#credit <= 0) && !this.#ended && !this.#done) {
      await new Promise((resolve) => this.#senders.push(resolve));
    }
    if (this.#done) throw new IMCError("the connection is closed", 9);
    if (this.#ended) throw new IMCError("the other end is closed", 32);
    this.#credit -= COST + data.length;
    this.session._message(this, data, descs);
  }

  // receive gives {data, descs}, or null at the end.
  async receive() {
    while (this.#queue.length === 0) {
      if (this.#ended || this.#done) return null;
      await new Promise((resolve) => this.#waiting.push(resolve));
    }
    const m = this.#queue.shift();
    if (!this.#ended && !this.#done) this.session._simple(CREDIT, this._id, COST + m.data.length);
    return m;
  }

  close() {
    if (this.#done) return;
    this.#done = true;
    if (this._id !== undefined) {
      this.session._simple(CLOSE, this._id);
      if (this.#ended) this.session._forget(this);
    }
    this.#wake();
  }

  #wake() {
    for (const f of this.#waiting.splice(0)) f();
    for (const f of this.#senders.splice(0)) f();
  }

  _ready() {
    this.#isReady = true;
    this.#accept();
    this.#wake();
  }

  _refused() {
    this.#refuse(refused());
    this.#ended = true;
    this.#wake();
  }

  _credited(n) {
    this.#credit += n;
    this.#wake();
  }

  _arrived(m) {
    if (this.#done) {
      // Nobody will receive it: give up what it carries.
      for (const d of m.descs) d?.close();
      return;
    }
    this.#queue.push(m);
    this.#wake();
  }

  _closed() {
    this.#ended = true;
    if (this.#done) this.session._forget(this);
    this.#wake();
  }

  // _end: the session is over.
  _end() {
    this.#refuse(refused());
    this.#ended = true;
    this.#wake();
  }
}

// localPair makes two connections within the page.
function localPair() {
  const make = () => {
    const session = {
      _message: (_, data, descs) => queueMicrotask(() => session.peer._arrived({data: data.slice(), descs: descs.map((d) => d instanceof DataEnd ? d._c : d)})),
      _simple: (kind, _, value) => queueMicrotask(() => {
        if (kind === CLOSE) session.peer._closed();
        if (kind === CREDIT) session.peer._credited(value);
      }),
      _forget: () => {},
    };
    return session;
  };
  const x = make(), y = make();
  const a = new Connection(x, 0), b = new Connection(y, 0);
  x.peer = b;
  y.peer = a;
  a._ready();
  b._ready();
  return [a, b];
}

// The convention of calls: eight bytes before the data of each message.
const CALL = 0x314c4143, MORE = 1, FAILED = 2, FRAGMENT = MAX_DATA - 8;

async function sendCall(c, data, descs, flags = 0) {
  do {
    const part = data.subarray(0, FRAGMENT), some = descs.slice(0, MAX_DESCS);
    data = data.subarray(part.length);
    descs = descs.slice(some.length);
    const b = new Uint8Array(8 + part.length);
    const v = new DataView(b.buffer);
    v.setUint32(0, CALL, true);
    v.setUint32(4, flags | (data.length || descs.length ? MORE : 0), true);
    b.set(part, 8);
    await c.send(b, some);
  } while (data.length || descs.length);
}

async function receiveCall(c) {
  const parts = [], descs = [];
  let size = 0;
  for (;;) {
    const m = await c.receive();
    if (!m) throw new IMCError("the connection was closed without a reply", 104);
    const v = new DataView(m.data.buffer, m.data.byteOffset, m.data.length);
    if (m.data.length < 8 || v.getUint32(0, true) !== CALL) throw new IMCError("a message that is no part of a call", 71);
    const flags = v.getUint32(4, true);
    parts.push(m.data.subarray(8));
    size += m.data.length - 8;
    descs.push(...m.descs);
    if (flags & MORE) continue;
    const data = new Uint8Array(size);
    let at = 0;
    for (const p of parts) {
      data.set(p, at);
      at += p.length;
    }
    if (flags & FAILED) {
      const errno = new DataView(data.buffer).getUint32(0, true);
      throw new IMCError(new TextDecoder().decode(data.subarray(4)), errno);
    }
    return {data, descs};
  }
}
