package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

// inherit makes IMC descriptors of what the command was started with, "fd:kind[:guest]",
// by the guest's numbers. They are the caller's to close.
func inherit(specs []string) (map[int]imc.Desc, error) {
	descs := make(map[int]imc.Desc)
	for _, s := range specs {
		guest, d, err := inheritOne(s)
		if err == nil && descs[guest] != nil {
			_ = d.Close()
			err = fmt.Errorf("the program's descriptor %d is given twice", guest)
		}
		if err != nil {
			closeInherited(descs)
			return nil, fmt.Errorf("-i %s: %w", s, err)
		}
		descs[guest] = d
	}
	return descs, nil
}

func closeInherited(descs map[int]imc.Desc) {
	for _, d := range descs {
		_ = d.Close()
	}
}

func inheritOne(s string) (guest int, d imc.Desc, err error) {
	parts := strings.Split(s, ":")
	if len(parts) != 2 && len(parts) != 3 {
		return 0, nil, fmt.Errorf("want fd:kind or fd:kind:guestfd")
	}
	fd, err := strconv.ParseUint(parts[0], 10, 31)
	if err != nil {
		return 0, nil, fmt.Errorf("%q is no descriptor", parts[0])
	}
	number := fd
	if len(parts) == 3 {
		if number, err = strconv.ParseUint(parts[2], 10, 31); err != nil {
			return 0, nil, fmt.Errorf("%q is no descriptor of the program", parts[2])
		}
	}
	if number < 3 {
		return 0, nil, fmt.Errorf("the program's descriptors 0 to 2 are the standard streams; name another, as in %d:%s:3", fd, parts[1])
	}
	// What this process opened itself closes on exec, what it was given does not.
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 {
		return 0, nil, fmt.Errorf("descriptor %d was not given to this command", fd)
	}
	// A number of our own for the file, which closes it: the inherited one stays open.
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return 0, nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	f := os.NewFile(uintptr(dup), "descriptor "+parts[0])
	defer f.Close()
	switch parts[1] {
	case "connect":
		d, err = orNil(imc.NewConnectEndpoint(f))
	case "accept":
		d, err = orNil(imc.NewAcceptEndpoint(f))
	case "socket":
		d, err = orNil(imc.NewConnectedSocket(f))
	case "data":
		d, err = orNil(imc.NewDataSocket(f))
	case "file":
		d, err = orNil(imc.NewFile(f))
	case "memory":
		d, err = orNil(imc.NewSharedMemoryFile(f))
	default:
		err = fmt.Errorf("kind %q: want connect, accept, socket, data, file or memory", parts[1])
	}
	return int(number), d, err
}

// orNil keeps a nil pointer from becoming a Desc that is not nil.
func orNil[D imc.Desc](d D, err error) (imc.Desc, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}
