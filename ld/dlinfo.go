package ld

import (
	"errors"
	"fmt"
)

// Requests of dlinfo.
const (
	DINamespace   = 1 // the only one
	DILinkMap     = 2
	DISearch      = 4 // Dl_serinfo
	DISearchSize  = 5 // its size and count alone
	DIOrigin      = 6
	DITLSModule   = 9
	diTLSData     = 10 // the C library's own affair
	DIProgHeaders = 11
)

// dlinfo serves the requests that only the host can answer, and writes the result to guest memory.
func (l *Linker) dlinfo(handle uint32, request int, result uint32) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o, err := l.byHandle(handle)
	if err != nil {
		return 0, err
	}
	switch request {
	case DINamespace:
		return 0, l.writeWords(result, 0)
	case DILinkMap:
		return 0, l.writeWords(result, uint64(o.link))
	case DITLSModule:
		return 0, l.writeWords(result, uint64(o.tlsID))
	case DIProgHeaders:
		return int64(o.file.PhdrNum), l.writeWords(result, uint64(o.phdr))
	case DIOrigin:
		// The caller has room for PATH_MAX bytes.
		if o.origin == "" || len(o.origin) >= maxPath {
			return 0, fmt.Errorf("%s: the directory that it came from is not known", o)
		}
		return 0, l.mem.Write(result, append([]byte(o.origin), 0))
	case DISearch, DISearchSize:
		return 0, l.searchInfo(o, request == DISearch, result)
	}
	return 0, fmt.Errorf("dlinfo: request %d is not known", request)
}

// Sizes of Dl_serinfo, a 64-bit size and a count, and of each Dl_serpath behind it, a
// pointer and flags, which are 0 as in glibc. Names follow.
const (
	serInfoSize = 16
	serPathSize = 16
)

// searchInfo writes where a library is searched that o needs. The first two words of the
// result, which a caller of DISearch has from DISearchSize, say how much room there is.
func (l *Linker) searchInfo(o *object, all bool, result uint32) error {
	places := l.places(o)
	if len(places) > maxPlaces {
		return fmt.Errorf("%s: more than %d directories to search", o, maxPlaces)
	}
	names := serInfoSize + serPathSize*len(places)
	size := names
	for _, p := range places {
		size += len(p.dir) + 1
	}
	if !all {
		return l.writeWords(result, uint64(size), uint64(len(places)))
	}
	room, err := l.mem.Load64(result)
	if err != nil {
		return err
	}
	if room < uint64(size) {
		return fmt.Errorf("%s: its search path takes %d bytes, and dls_size says %d: ask for RTLD_DI_SERINFOSIZE before", o, size, room)
	}
	if uint64(result)+uint64(size) > 1<<32 {
		return errors.New("dlinfo: the result does not fit behind its address")
	}
	b := le.AppendUint64(make([]byte, 0, size), uint64(size))
	b = le.AppendUint64(b, uint64(len(places)))
	at := uint64(result) + uint64(names)
	for _, p := range places {
		b = le.AppendUint64(b, at)
		b = le.AppendUint64(b, 0)
		at += uint64(len(p.dir)) + 1
	}
	for _, p := range places {
		b = append(append(b, p.dir...), 0)
	}
	return l.mem.Write(result, b)
}
