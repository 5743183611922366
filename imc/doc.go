// Package imc has the sockets of Native Client's inter-module communication, for
// Go programs, for guests and for processes: capabilities to connect, connections
// that carry messages with descriptors, and shared memory.
//
// # The kinds
//
//	ConnectEndpoint   the right to connect to somebody (NaCl: SocketAddress); can be sent
//	AcceptEndpoint    where those connections arrive (NaCl: BoundSocket)
//	ConnectedSocket   one end of a connection: messages of data and descriptors
//	DataSocket        one end of a pair: messages of data alone; can be sent (NaCl: DataOnlySocket)
//	File              an open file of the host; can be sent
//	SharedMemory      memory that several processes and domains can map; can be sent
//	Invalid           the descriptor -1 in a message
//
// There are no names. Who wants to connect must hold a ConnectEndpoint, and gets
// one from whoever made the pair, or in a message from somebody who has it.
//
// # Transports
//
// Endpoints made by [Memory] live in this process; a message is handed over
// without the kernel. Endpoints made by [Kernel] are Unix sockets, which other
// processes can hold too. Both behave alike, and whatever is sent to another
// process goes on working there: what lived in memory moves into the kernel by
// itself. docs/imc.md has every packet of the protocol between processes. The
// package imc/gateway carries the same over a WebSocket.
//
// # Rules
//
//   - A message arrives whole or not at all, once, in the order in which one
//     sender sent it. Any number of goroutines and processes may send and receive
//     on one socket.
//   - Sending duplicates: the sender keeps its descriptors and must close them.
//     What is sent is received, or closed when the message is given up.
//   - Queues are bounded; who sends into a full one waits, or gets EAGAIN.
//   - A queue that can hold descriptors belongs to an AcceptEndpoint or a
//     ConnectedSocket, and these two can't be sent: no cycle of descriptors in
//     flight can come about, so nothing needs a collector.
//   - Close every handle. A lost handle of a kernel endpoint gives its descriptor
//     back when the garbage collector finds it; for endpoints in memory the peer is
//     not told.
//
// # Errors
//
// Errors are of type [*Error] and unwrap to a [syscall.Errno]: errors.Is(err,
// unix.EAGAIN) works. [NaClErrno] tells what NaCl's system calls return for them.
// The end of a connection is io.EOF. A cancelled context gives its own error.
//
// # Locks
//
// Order: address.mu, pair.mu, kfd.mu, poller.mu, watchList.mu. No lock is held
// while descriptors are closed, sent or duplicated.
package imc
