// Package libcshim is the system-call personality that a C library made for
// Linux x86-64 needs from its host: it gives musl's calls their meaning inside a
// domain, without the guest ever reaching the host's kernel.
//
// A Process is a domain with a program in it, a descriptor table, a namespace
// (the file tree, package namespace), signal state and a tracer. Processes that it
// starts form a tree with it (tree.go): fork copies the domain, execve makes another
// one for the same number. Calls are
// served by the functions in the sys_*.go files, found through one table
// (table.go) that also knows how --trace prints them; a number that is not in
// the table is ENOSYS.
//
// # Invariants
//
//   - A guest pointer is truncated to 32 bits and used through safemem only; a
//     bad one is EFAULT. Structures with lengths and pointers in them (iovec,
//     msghdr, pollfd) are copied once, then checked, then used.
//   - What a guest asks for costs memory in proportion to what it owns: lengths
//     are bounded or served in pieces.
//   - Policy: the guest has the files of its namespace, the clocks, random
//     numbers, its own threads and signals. There is no network but what
//     Config.Network allows (else socket is EACCES), no process but what it starts
//     itself, as far as Config.MaxProcesses allows, no way to executable memory
//     but dl_open. Each process's domain gets its code through the same door.
//   - A call that blocks returns soon after its thread is kicked: it waits in
//     runtime.Thread.Park, in poll(2) together with the thread's event
//     descriptor, or in a lock that is held for a short time only.
//
// # Signals
//
// Actions belong to the process, masks and alternate stacks to threads. A
// handler gets a siginfo and a ucontext on the guest's data stack; the registers
// in it are the guest's view (the stack pointer is the data stack's, the
// program counter an offset) and are for reading only: what a handler changes
// there, except the signal mask, is not taken over, because the state that the
// thread goes on with never was in guest memory. A handler may leave by
// siglongjmp.
//
// # Blocking on what the host gave
//
// Standard input that is an *os.File is polled together with the thread's event
// descriptor. Any other io.Reader is read by one goroutine that starts with the
// guest's first read; it can not be interrupted, so it stays until that reader
// returns, as with os/exec. Readers of the bytes and strings packages never
// block and need none. A Write to an io.Writer that blocks delays the thread's
// end.
//
// # Lock order
//
// tree.mu, then the rest. Process.mu (directories, umask), signalState.mu,
// fdTable.mu and the locks of pipes are leaves, but that Thread.Kick and
// Thread.Unpark may be called with them held. openFile.mu is taken before them.
//
// # Not promised
//
// Locks of files (fcntl, flock) hold within one tree of processes and say nothing
// to processes of the host. The times of CPU clocks are those of the host
// process since the guest was started. Stop signals are ignored.
package libcshim
