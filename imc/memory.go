package imc

import (
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// MapGranule is what sizes of shared memory must be a multiple of.
const MapGranule = 0x10000

// seals are what a received memory must have: without them its owner could cut it
// off under whoever mapped it.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW

// SharedMemory is zeroed memory that every holder can map. It is a memory file of the
// kernel (memfd_create) whose size is sealed. It can be sent.
type SharedMemory struct {
	handle
	k     *kfd
	size  int64
	write bool
}

// NewSharedMemory makes memory of size bytes. Errors, as NaCl has them: EINVAL if size
// is no multiple of [MapGranule], ENOMEM if it is 0 or more than 2 GiB - 1 or if
// there is not so much.
func NewSharedMemory(size int64) (*SharedMemory, error) {
	const op = "create"
	switch {
	case size%MapGranule != 0 || size < 0:
		return nil, failure(op, KindSharedMemory, unix.EINVAL, fmt.Sprintf("%d bytes, the size must be a multiple of %d", size, MapGranule))
	case size == 0 || size > math.MaxInt32:
		return nil, failure(op, KindSharedMemory, unix.ENOMEM, fmt.Sprintf("%d bytes, the size must be above 0 and below 2 GiB", size))
	}
	fd, err := unix.MemfdCreate("imc", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		e := hostFailure(op, KindSharedMemory, err).(*Error)
		e.nacl = unix.ENOMEM
		return nil, e
	}
	if err = unix.Ftruncate(fd, size); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals|unix.F_SEAL_SEAL)
	}
	if err != nil {
		_ = unix.Close(fd)
		e := hostFailure(op, KindSharedMemory, err).(*Error)
		e.nacl = unix.ENOMEM
		return nil, e
	}
	return newMemory(newKfd(fd), size, true), nil
}

// NewSharedMemoryFile makes shared memory of a memory file (memfd_create) that somebody
// else made: all of it. The file stays the caller's, and must be open for reading. Its size
// is sealed if it is not yet, so that nobody can cut the memory off under who maps it.
// Errors: EINVAL (no memory file; made without MFD_ALLOW_SEALING, so that it can't be
// sealed; a size that is no multiple of [MapGranule], 0, or 2 GiB and more; huge pages),
// EBADF (not open for reading).
func NewSharedMemoryFile(f *os.File) (*SharedMemory, error) {
	const op = "take a file over"
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, hostFailure(op, KindSharedMemory, err)
	}
	fd := -1
	if cerr := raw.Control(func(p uintptr) { fd, err = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil {
		err = cerr
	}
	if err != nil {
		return nil, hostFailure(op, KindSharedMemory, err)
	}
	k := newKfd(fd)
	m, err := sealMemory(k)
	if err != nil {
		k.release()
		errno, ok := err.(unix.Errno)
		if !ok {
			return nil, failure(op, KindSharedMemory, unix.EINVAL, err.Error())
		}
		return nil, hostFailure(op, KindSharedMemory, errno)
	}
	return m, nil
}

// sealMemory takes k over if it succeeds.
func sealMemory(k *kfd) (*SharedMemory, error) {
	mode, err := unix.FcntlInt(uintptr(k.fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, err
	}
	if mode&unix.O_PATH != 0 || mode&unix.O_ACCMODE == unix.O_WRONLY {
		return nil, unix.EBADF
	}
	var st unix.Stat_t
	if err := unix.Fstat(k.fd, &st); err != nil {
		return nil, err
	}
	have, err := unix.FcntlInt(uintptr(k.fd), unix.F_GET_SEALS, 0)
	switch {
	case err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, fmt.Errorf("it is no memory file (memfd_create)")
	case have&seals != seals && have&unix.F_SEAL_SEAL != 0:
		// Of a file in a tmpfs the kernel says so, too.
		return nil, fmt.Errorf("its size is not sealed and can't be: make it with memfd_create and MFD_ALLOW_SEALING")
	case have&seals != seals:
		// A file that is open for reading alone can't be sealed.
		if _, err := unix.FcntlInt(uintptr(k.fd), unix.F_ADD_SEALS, seals); err != nil {
			return nil, fmt.Errorf("its size is not sealed and can't be (%w): seal it with F_SEAL_SHRINK and F_SEAL_GROW where it is open for writing", err)
		}
		// Only now the size is what it stays.
		if err := unix.Fstat(k.fd, &st); err != nil {
			return nil, err
		}
	}
	return adoptMemory(k, st.Size, unix.O_RDWR)
}

func newMemory(k *kfd, size int64, write bool) *SharedMemory {
	m := &SharedMemory{k: k, size: size, write: write}
	guard(&m.handle, k.release)
	return m
}

// adoptMemory takes k over if it succeeds.
func adoptMemory(k *kfd, size int64, flags uint32) (*SharedMemory, error) {
	if size <= 0 || size > math.MaxInt32 || size%MapGranule != 0 {
		return nil, fmt.Errorf("%d bytes are no size: it must be a multiple of %d, above 0 and below 2 GiB", size, MapGranule)
	}
	have, err := unix.FcntlInt(uintptr(k.fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("it is no memory file: %w", err)
	}
	if have&seals != seals {
		return nil, fmt.Errorf("its size is not sealed: its owner could cut it off")
	}
	var st unix.Stat_t
	if err := unix.Fstat(k.fd, &st); err != nil {
		return nil, err
	}
	if st.Size < size {
		return nil, fmt.Errorf("it has %d bytes, not %d", st.Size, size)
	}
	if st.Blksize > MapGranule {
		return nil, fmt.Errorf("it has huge pages of %d bytes, which can't be mapped in pieces of %d", st.Blksize, MapGranule)
	}
	mode, err := unix.FcntlInt(uintptr(k.fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, err
	}
	if mode&unix.O_PATH != 0 || mode&unix.O_ACCMODE == unix.O_WRONLY {
		return nil, fmt.Errorf("it is not open for reading")
	}
	write := flags&unix.O_ACCMODE == unix.O_RDWR && mode&unix.O_ACCMODE == unix.O_RDWR && have&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) == 0
	return newMemory(k, size, write), nil
}

func (m *SharedMemory) Kind() Kind                      { return KindSharedMemory }
func (m *SharedMemory) SetMetadata(note Metadata) error { return m.setMetadata(KindSharedMemory, note) }

// Size is in bytes.
func (m *SharedMemory) Size() int64 { return m.size }

// AfterLast has f called when no handle of the memory is left in this process, also
// not in queues: for who counts what it hands out. It must be called before the handle
// is duplicated or sent, and f must return at once.
func (m *SharedMemory) AfterLast(f func()) { m.k.gone = f }

// Writable tells whether it can be mapped for writing.
func (m *SharedMemory) Writable() bool { return m.write }

func (m *SharedMemory) Close() error {
	if err := m.shut(KindSharedMemory); err != nil {
		return err
	}
	m.k.release()
	return nil
}

func (m *SharedMemory) Dup() (Desc, error) {
	if m.closed.Load() || !m.k.tryRetain() {
		return nil, errClosed("duplicate", KindSharedMemory)
	}
	d := newMemory(m.k, m.size, m.write)
	m.copyMeta(d)
	return d, nil
}

func (m *SharedMemory) outgoing() (outgoing, error) {
	if m.closed.Load() || !m.k.tryRetain() {
		return outgoing{}, errClosed("send", KindSharedMemory)
	}
	flags := uint32(unix.O_RDONLY)
	if m.write {
		flags = unix.O_RDWR
	}
	return outgoing{kind: KindSharedMemory, flags: flags, meta: m.Metadata(), value: m.size, k: m.k}, nil
}

// File gives the memory as a file, for a child process to inherit: what
// [NewSharedMemoryFile] takes. If the memory is not writable, neither is the file.
func (m *SharedMemory) File() (*os.File, error) {
	const op = "make a file"
	if m.closed.Load() || !m.k.tryRetain() {
		return nil, errClosed(op, KindSharedMemory)
	}
	defer m.k.release()
	if m.write {
		return m.k.file(KindSharedMemory)
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", m.k.fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, hostFailure(op, KindSharedMemory, err)
	}
	return os.NewFile(uintptr(fd), KindSharedMemory.String()), nil
}

// FD calls use with the number of the memory file, which stays open for the time of
// the call: for mapping it into a domain. The size can't change.
func (m *SharedMemory) FD(use func(fd int) error) error {
	if m.closed.Load() || !m.k.tryRetain() {
		return errClosed("use", KindSharedMemory)
	}
	defer m.k.release()
	return use(m.k.fd)
}

// A Mapping is shared memory in the address space of this process. Others may change
// it at any time: read what must stay the same once, into memory of your own, and
// use sync/atomic on words that are agreed on.
type Mapping struct {
	// Bytes is valid until Unmap.
	Bytes []byte
}

// Map maps all of it. The mapping outlives the descriptor.
func (m *SharedMemory) Map() (*Mapping, error) {
	prot := unix.PROT_READ
	if m.write {
		prot |= unix.PROT_WRITE
	}
	var b []byte
	err := m.FD(func(fd int) error {
		var err error
		b, err = unix.Mmap(fd, 0, int(m.size), prot, unix.MAP_SHARED)
		return err
	})
	if err != nil {
		if _, ok := err.(*Error); ok {
			return nil, err
		}
		return nil, hostFailure("map", KindSharedMemory, err)
	}
	return &Mapping{b}, nil
}

// Unmap ends the mapping; nothing may use Bytes any more.
func (m *Mapping) Unmap() error {
	b := m.Bytes
	m.Bytes = nil
	if b == nil {
		return failure("unmap", KindSharedMemory, unix.EINVAL, "it is not mapped")
	}
	return unix.Munmap(b)
}
