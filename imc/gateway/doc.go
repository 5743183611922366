// Package gateway carries IMC over a WebSocket: to pages in a browser (imc.js beside
// this file is their side) and to other machines. Connections, messages, data
// sockets and capabilities pass in both directions; files and shared memory
// can't, and sending them fails with EOPNOTSUPP.
//
// A [Handler] gives each client one capability, its root; everything else comes from
// there. A [Session] is one WebSocket. What was reached through it ends with it.
// docs/imc.md has the protocol.
//
// Everything that the other side sends is untrusted: a client that breaks the
// protocol loses its session and nothing else. Queues are bounded by credit that
// the receiver gives, numbers of channels and capabilities by [Limits].
package gateway
