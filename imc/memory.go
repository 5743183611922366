package imc

import (
	"fmt"
	"math"

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

func newMemory(k *kfd, size int64, write bool) *SharedMemory {
	m := &SharedMemory{k: k, size: size, write: write}
	guard(&m.handle, k.release)
	return m
}

// adoptMemory takes k over if it succeeds.
func adoptMemory(k *kfd, size int64, flags uint32) (*SharedMemory, error) {
	if size <= 0 || size > math.MaxInt32 || size%MapGranule != 0 {
		return nil, fmt.Errorf("%d bytes are no size", size)
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
	mode, err := unix.FcntlInt(uintptr(k.fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, err
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
