// Package namespace is the file tree that a guest sees.
//
// A Namespace is a table of mounts. Names are resolved here, component by
// component, never by the host: a symbolic link, wherever it comes from, is
// followed inside the guest's tree, ".." ends at the guest's root, and a mount
// never sees anything but a name relative to its own root, without "..", without
// symbolic links in it. There are five kinds of mounts: a host directory
// (HostDir), a single host file (HostFile), any fs.FS (FromFS), a bounded
// read-write tree in memory (NewMemory), and generated trees (Devices, Proc).
//
// # Invariants
//
//   - No host object outside the mounted directory is opened, changed or looked
//     at, whatever the names, the links, the other processes do: each host
//     operation is relative to a directory descriptor that was reached from the
//     mount's own without following a link and without "..".
//   - Nothing but regular files and directories is opened on the host, and
//     nothing on a pseudo file system (/proc and its like): a mount of "/" does
//     not make /proc/self/mem a file of the guest.
//   - Errors are syscall.Errno values with Linux's meaning.
//
// A resolved name may change before it is used; the operation then fails with
// ELOOP inside and is resolved again, some times.
//
// # Not promised
//
// A directory is known by its name, not by its identity: when another process
// of the host renames a directory that the guest has open, names relative to it
// are looked up where it used to be. Renames made by the guest itself are
// followed (see Namespace.Rename). The host's permissions apply to host mounts
// on top of what the guest asks for.
//
// # Lock order
//
// None: locks of the Namespace and of the mounts are leaves.
package namespace
