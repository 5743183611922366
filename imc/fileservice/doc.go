// Package fileservice answers open, stat and their kind for somebody else, over IMC:
// a program without a file system sends a message with a path and gets a
// descriptor, which it then reads and writes by itself.
//
// A [Server] shows a [Backend]: a directory of the host ([Dir]) or any [fs.FS] ([FS]).
// A [Client] is the other side for Go programs, and an fs.FS itself. docs/imc.md has
// the protocol, byte by byte; versions 1 (2009) and 2 (2011) of Native Client's port
// are understood next to ours.
//
// Every path is untrusted. It is made absolute in the served tree by its text ("..",
// too), and links can't lead out of it. Only regular files are opened.
package fileservice
