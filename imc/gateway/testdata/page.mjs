// What TestScript runs: the page's side of a session with an object that echoes.
import assert from "node:assert/strict";
import {connect, IMCError, MAX_DATA} from "../imc.js";

const text = (b) => new TextDecoder().decode(b);
const session = await connect(process.argv[2]);

// Calls, small and large, and several at once.
assert.equal(text((await session.root.call("hello")).data), "hello");
const big = new Uint8Array(1_000_000).map((_, i) => i * 7);
assert.deepEqual((await session.root.call(big)).data, big);
await Promise.all(Array.from({length: 20}, async (_, i) => {
  assert.equal(text((await session.root.call(`call ${i}`)).data), `call ${i}`);
}));

// A failure has the server's number and text.
await assert.rejects(session.root.call("fail"), (err) => err instanceof IMCError && err.errno === 1 && err.message.includes("as you wish"));

// A capability of the page, called by the server.
let size = 0;
const object = session.serveCalls((data) => {
  size = data.length;
  return "from the page";
});
assert.equal(text((await session.root.call("call me", [object])).data), "from the page");
assert.equal(size, 400_000);

// It goes there and comes back, and still works; so does one that fails.
const {descs} = await session.root.call("keep", [object, null]);
assert.equal(descs.length, 2);
assert.equal(descs[1], null);
assert.equal(text((await descs[0].call("around the corner")).data), "from the page");
descs[0].close();
const failing = session.serveCalls(() => {
  throw new IMCError("not today", 11);
});
await assert.rejects(session.root.call("call me", [failing]), (err) => err.errno === 11);
assert.equal(text((await object.call("within the page")).data), "from the page");

// A data socket.
const [mine, theirs] = session.dataPair();
const done = session.root.call("data socket", [theirs]);
await mine.send("shout");
assert.equal(text((await mine.receive()).data), "SHOUT");
await done;
assert.equal(await mine.receive(), null);
await assert.rejects(mine.send("x"), (err) => err.errno === 32);
mine.close();

// Limits, and what can't be sent.
const c = await session.root.connect();
await assert.rejects(c.send(new Uint8Array(MAX_DATA + 1)), (err) => err.errno === 90);
await assert.rejects(c.send("", [{}]), (err) => err.errno === 95);
c.close();

// A cancelled call.
const abort = new AbortController();
abort.abort();
await assert.rejects(session.root.call("x", [], {signal: abort.signal}), {name: "AbortError"});

await session.close();
await assert.rejects(session.root.connect(), (err) => err.errno === 111);
console.log("ok");
