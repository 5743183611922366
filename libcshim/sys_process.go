package libcshim

import (
	"crypto/rand"
	"fmt"
	goruntime "runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/runtime"
)

func sysGetpid(k *task, a *args) (int64, error) { return int64(k.p.dom.PID()), nil }
func sysGettid(k *task, a *args) (int64, error) { return int64(k.t.TID()), nil }
func sysGetuid(k *task, a *args) (int64, error) { return int64(k.p.cfg.Identity.UID), nil }
func sysGetgid(k *task, a *args) (int64, error) { return int64(k.p.cfg.Identity.GID), nil }

// setIDs builds the handlers of the set*id family: what changes nothing is
// allowed.
func setIDs(n int, group bool) handler {
	return func(k *task, a *args) (int64, error) {
		own := k.p.cfg.Identity.UID
		if group {
			own = k.p.cfg.Identity.GID
		}
		for _, v := range a[:n] {
			if id := uint32(v); id != ^uint32(0) && id != own {
				return 0, unix.EPERM
			}
		}
		return 0, nil
	}
}

// getIDs is getresuid and getresgid.
func getIDs(group bool) handler {
	return func(k *task, a *args) (int64, error) {
		own := k.p.cfg.Identity.UID
		if group {
			own = k.p.cfg.Identity.GID
		}
		for _, at := range a[:3] {
			if err := k.store32(at, own); err != nil {
				return 0, err
			}
		}
		return 0, nil
	}
}

func sysGetgroups(k *task, a *args) (int64, error) {
	switch n := int32Arg(a[0]); {
	case n < 0:
		return 0, unix.EINVAL
	case n == 0:
		return 1, nil
	}
	return 1, k.store32(a[1], k.p.cfg.Identity.GID)
}

func sysUname(k *task, a *args) (int64, error) {
	const field = 65
	b := make([]byte, 6*field)
	for i, s := range []string{"Linux", k.p.cfg.Hostname, "5.15.0-halite", "#1", "x86_64", "(none)"} {
		copy(b[i*field:(i+1)*field-1], s)
	}
	return 0, k.write(a[0], b)
}

// Layout of struct sysinfo.
const sysinfoSize = 112

func sysSysinfo(k *task, a *args) (int64, error) {
	total := k.p.cfg.MaxMemory
	if total == 0 {
		total = cage.Size
	}
	used := k.p.dom.Cage().MemoryInUse()
	b := make([]byte, sysinfoSize)
	le.PutUint64(b[0:], uint64(time.Since(k.p.started)/time.Second))
	le.PutUint64(b[32:], total)
	le.PutUint64(b[40:], total-min(used, total))
	le.PutUint16(b[80:], 1)  // processes
	le.PutUint32(b[104:], 1) // unit of memory
	return 0, k.write(a[0], b)
}

func sysGetrandom(k *task, a *args) (int64, error) {
	if a[2]&^(unix.GRND_NONBLOCK|unix.GRND_RANDOM|unix.GRND_INSECURE) != 0 {
		return 0, unix.EINVAL
	}
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	left := min(a[1], 32<<20-1)
	total := int64(0)
	for at := a[0]; left > 0; {
		part := buf[:min(left, chunkSize)]
		_, _ = rand.Read(part) // never fails
		if err := k.write(at, part); err != nil {
			if total > 0 {
				return total, nil
			}
			return 0, err
		}
		at += uint64(len(part))
		left -= uint64(len(part))
		total += int64(len(part))
	}
	return total, nil
}

// limit is what getrlimit says about a resource.
func (p *Process) limit(resource int) (soft, hard uint64, err error) {
	const infinity = ^uint64(0)
	switch resource {
	case unix.RLIMIT_STACK:
		return uint64(p.cfg.StackSize), uint64(p.cfg.StackSize), nil
	case unix.RLIMIT_NOFILE:
		return uint64(p.fds.limit), uint64(p.fds.limit), nil
	case unix.RLIMIT_AS, unix.RLIMIT_DATA:
		if p.cfg.MaxMemory != 0 {
			return p.cfg.MaxMemory, p.cfg.MaxMemory, nil
		}
		return infinity, infinity, nil
	case unix.RLIMIT_CPU:
		if p.cfg.MaxCPU > 0 {
			s := uint64((p.cfg.MaxCPU + time.Second - 1) / time.Second)
			return s, s, nil
		}
		return infinity, infinity, nil
	case unix.RLIMIT_CORE:
		return 0, 0, nil
	case unix.RLIMIT_NPROC:
		n := uint64(max(p.cfg.MaxThreads, p.tree.max))
		return n, n, nil
	}
	if resource < 0 || resource > 15 {
		return 0, 0, unix.EINVAL
	}
	return infinity, infinity, nil
}

func (k *task) putLimit(addr uint64, resource int) error {
	soft, hard, err := k.p.limit(resource)
	if err != nil {
		return err
	}
	var b [16]byte
	le.PutUint64(b[0:], soft)
	le.PutUint64(b[8:], hard)
	return k.write(addr, b[:])
}

func sysGetrlimit(k *task, a *args) (int64, error) { return 0, k.putLimit(a[1], int32Arg(a[0])) }
func sysSetrlimit(k *task, a *args) (int64, error) { return 0, k.setLimit(a[1], int32Arg(a[0])) }

// setLimit accepts what is not more than there is; the limits are the host's to
// change.
func (k *task) setLimit(addr uint64, resource int) error {
	_, hard, err := k.p.limit(resource)
	if err != nil {
		return err
	}
	var b [16]byte
	if err := k.read(addr, b[:]); err != nil {
		return err
	}
	soft, max := le.Uint64(b[0:]), le.Uint64(b[8:])
	if soft > max {
		return unix.EINVAL
	}
	if max > hard {
		return unix.EPERM
	}
	return nil
}

func sysPrlimit64(k *task, a *args) (int64, error) {
	if pid := int32Arg(a[0]); pid != 0 && pid != k.p.dom.PID() {
		return 0, unix.ESRCH
	}
	if uint32(a[3]) != 0 {
		if err := k.putLimit(a[3], int32Arg(a[1])); err != nil {
			return 0, err
		}
	}
	if uint32(a[2]) != 0 {
		return 0, k.setLimit(a[2], int32Arg(a[1]))
	}
	return 0, nil
}

func sysSchedYield(k *task, a *args) (int64, error) {
	goruntime.Gosched()
	return 0, nil
}

// oneOfUs checks the thread that a scheduling call is about; 0 is the caller.
func (k *task) oneOfUs(v uint64) error {
	if tid := int32Arg(v); tid != 0 && k.p.dom.Thread(tid) == nil {
		return unix.ESRCH
	}
	return nil
}

// allProcessors is the mask of as many processors as guest threads can run on.
func allProcessors() []byte {
	n := goruntime.GOMAXPROCS(0)
	b := make([]byte, (n+63)/64*8)
	for i := range n {
		b[i/8] |= 1 << (i % 8)
	}
	return b
}

func sysSchedGetaffinity(k *task, a *args) (int64, error) {
	if err := k.oneOfUs(a[0]); err != nil {
		return 0, err
	}
	k.p.mu.Lock()
	b := k.p.affinity
	k.p.mu.Unlock()
	if b == nil {
		b = allProcessors()
	}
	if a[1] < uint64(len(b)) || a[1]%8 != 0 {
		return 0, unix.EINVAL
	}
	return int64(len(b)), k.write(a[2], b)
}

// sysSchedSetaffinity remembers the mask, for all threads, and does nothing with
// it: Go decides what runs where.
func sysSchedSetaffinity(k *task, a *args) (int64, error) {
	if err := k.oneOfUs(a[0]); err != nil {
		return 0, err
	}
	all := allProcessors()
	b := make([]byte, len(all))
	if err := k.read(a[2], b[:min(a[1], uint64(len(b)))]); err != nil {
		return 0, err
	}
	some := byte(0)
	for i := range b {
		b[i] &= all[i]
		some |= b[i]
	}
	if some == 0 {
		return 0, unix.EINVAL
	}
	k.p.mu.Lock()
	k.p.affinity = b
	k.p.mu.Unlock()
	return 0, nil
}

// Scheduling: everything is SCHED_OTHER with priority 0.
func sysSchedGetparam(k *task, a *args) (int64, error) { return 0, k.store32(a[1], 0) }

func sysSchedSetscheduler(k *task, a *args) (int64, error) {
	if int32Arg(a[1]) != 0 {
		return 0, unix.EPERM
	}
	return 0, nil
}

func sysSchedPriority(k *task, a *args) (int64, error) {
	switch int32Arg(a[0]) {
	case 0, 3, 5: // OTHER, BATCH, IDLE
		return 0, nil
	case 1, 2: // FIFO, RR
		return 1, nil
	}
	return 0, unix.EINVAL
}

func sysZero(k *task, a *args) (int64, error) { return 0, nil }

// sysGetpriority returns 20 minus the nice value, as the kernel does.
func sysGetpriority(k *task, a *args) (int64, error) {
	if a[0] > 2 {
		return 0, unix.EINVAL
	}
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	return int64(20 - k.p.nice), nil
}

// sysSetpriority remembers the value; it may only go up.
func sysSetpriority(k *task, a *args) (int64, error) {
	if a[0] > 2 {
		return 0, unix.EINVAL
	}
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	v := max(-20, min(19, int32Arg(a[2])))
	if v < k.p.nice {
		return 0, unix.EACCES
	}
	k.p.nice = v
	return 0, nil
}

func sysSchedRRGetInterval(k *task, a *args) (int64, error) {
	if err := k.oneOfUs(a[0]); err != nil {
		return 0, err
	}
	return 0, k.putTimespec(a[1], 0, 4e6)
}

func sysArchPrctl(k *task, a *args) (int64, error) {
	const setGS, setFS, getFS, getGS = 0x1001, 0x1002, 0x1003, 0x1004
	switch a[0] {
	case setFS:
		if a[1] >= cage.Size {
			return 0, unix.EPERM
		}
		k.t.SetThreadPointer(uint32(a[1]))
		return 0, nil
	case getFS, setGS, getGS:
		return 0, unix.EINVAL
	}
	return 0, unix.EINVAL
}

const maxName = 15

func sysPrctl(k *task, a *args) (int64, error) {
	switch int32Arg(a[0]) {
	case unix.PR_SET_NAME:
		var b [maxName + 1]byte
		for i := range maxName {
			c, err := k.p.mem.Load8(uint32(a[1]) + uint32(i))
			if err != nil {
				return 0, err
			}
			if b[i] = c; c == 0 {
				break
			}
		}
		name, _, _ := strings.Cut(string(b[:]), "\x00")
		k.p.mu.Lock()
		k.name = name
		k.p.mu.Unlock()
		return 0, nil
	case unix.PR_GET_NAME:
		var b [maxName + 1]byte
		k.p.mu.Lock()
		copy(b[:maxName], k.name)
		k.p.mu.Unlock()
		return 0, k.write(a[1], b[:])
	case unix.PR_GET_DUMPABLE:
		return 0, nil
	case unix.PR_SET_DUMPABLE, unix.PR_SET_PDEATHSIG, unix.PR_SET_NO_NEW_PRIVS, unix.PR_SET_TIMERSLACK, prSetVMA:
		return 0, nil
	case unix.PR_GET_NO_NEW_PRIVS:
		return 1, nil
	}
	return 0, unix.EINVAL
}

const prSetVMA = 0x53564d41

func baseName(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return name[:min(len(name), maxName)]
}

func joinNUL(list []string) []byte {
	var b []byte
	for _, s := range list {
		b = append(append(b, s...), 0)
	}
	return b
}

func (p *Process) commName() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.main != nil {
		if k, ok := p.main.Local().(*task); ok {
			return k.name
		}
	}
	return baseName(p.exe)
}

func (p *Process) statFile() []byte {
	pid := p.node.pid
	parent, group, sid := p.node.relations()
	return fmt.Appendf(nil, "%d (%s) R %d %d %d 0 -1 0 0 0 0 0 %d 0 0 0 20 0 %d 0 0 %d 0 %d\n", pid, p.commName(), parent, group, sid,
		(cpuTime()-p.cpu0)/(time.Second/clockTicks), len(p.dom.Threads()), uint64(cage.Size), ^uint64(0))
}

func (p *Process) statusFile() []byte {
	id := p.cfg.Identity
	parent, _, _ := p.node.relations()
	used := p.dom.Cage().MemoryInUse() / 1024
	return fmt.Appendf(nil, "Name:\t%s\nState:\tR (running)\nPid:\t%d\nPPid:\t%d\nUid:\t%d\t%d\t%d\t%d\nGid:\t%d\t%d\t%d\t%d\nVmSize:\t%8d kB\nVmRSS:\t%8d kB\nThreads:\t%d\n",
		p.commName(), p.node.pid, parent, id.UID, id.UID, id.UID, id.UID, id.GID, id.GID, id.GID, id.GID, used, used, len(p.dom.Threads()))
}

func sysExit(k *task, a *args) (int64, error) {
	k.t.Exit(int32Arg(a[0]))
	return 0, nil
}

func sysExitGroup(k *task, a *args) (int64, error) {
	k.p.dom.Exit(int32Arg(a[0]))
	return 0, nil
}

// refuse makes a handler that says no.
func refuse(e unix.Errno) handler {
	return func(*task, *args) (int64, error) { return 0, e }
}

// sysDL hands a private call to the dynamic linker.
func sysDL(nr uint64) handler {
	return func(k *task, a *args) (int64, error) {
		r := k.p.linker.Syscall(ldThread(k.t), nr, *a)
		if r == -int64(unix.EINTR) && k.t.Interrupted() {
			return 0, errRestart
		}
		return r, nil
	}
}

// park waits for anything; true when the thread has something to attend to.
func (k *task) park() bool { return k.t.Park(time.Time{}) == runtime.Interrupted }
