package libcshim

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/runtime"
)

// The IRT: functions that a program finds by asking for interfaces by name. In Native
// Client it is a program of its own beside the guest's. Here its functions are
// trampolines above NaCl's numbers, which obey the same calling convention, are code
// in the sandbox already, and need neither memory nor a thread's second word. Tables
// are written when they are asked for.
//
// Every function returns 0 or a positive error number, and its results through
// pointers.

// irtQuerySlot is the trampoline of the query, whose address is AT_SYSINFO; the
// functions follow in the order of irtFuncs.
const irtQuerySlot = runtime.FirstPersonalSlot

func irtAddress(slot uint32) uint32 { return cage.TrampolineStart + 32*slot }

// An irtFunc is one function of the IRT.
type irtFunc struct {
	name string
	// slot is the call of NaCl that it stands for, 0 if serve does it.
	slot uint32
	// out is the argument, counted from 1, that says where the call's result goes;
	// it is not passed on. 0: there is none.
	out    int
	blocks bool // hooks are called around it
	serve  handler
}

var irtFuncs = []irtFunc{
	{name: "exit", slot: 30},
	{name: "gettod", slot: 40},
	{name: "clock", slot: 41, out: 1},
	{name: "nanosleep", slot: 42, blocks: true},
	{name: "sched_yield", slot: 32, blocks: true},
	{name: "sysconf", slot: 33},

	{name: "close", slot: 11},
	{name: "dup", slot: 8, out: 2},
	{name: "dup2", slot: 9},
	{name: "read", slot: 12, out: 4, blocks: true},
	{name: "write", slot: 13, out: 4, blocks: true},
	{name: "seek", serve: irtSeek},
	{name: "fstat", slot: 17},
	{name: "getdents", slot: 23, out: 4, blocks: true},
	{name: "fchdir", slot: 50},
	{name: "fchmod", slot: 28},
	{name: "fsync", slot: 26},
	{name: "fdatasync", slot: 27},
	{name: "ftruncate", serve: sysFtruncate},
	{name: "isatty", slot: 19, out: 2},

	{name: "open", slot: 10, out: 4, blocks: true},
	{name: "stat", slot: 16},
	{name: "mkdir", slot: 45},
	{name: "rmdir", slot: 46},
	{name: "chdir", slot: 47},
	{name: "getcwd", slot: 48},
	{name: "unlink", slot: 49},
	{name: "truncate", serve: limited(sysTruncate, 1)},
	{name: "lstat", slot: 141},
	{name: "link", slot: 142},
	{name: "rename", slot: 143},
	{name: "symlink", slot: 144},
	{name: "chmod", slot: 18},
	{name: "access", slot: 145},
	{name: "readlink", slot: 146, out: 4},
	{name: "utimes", slot: 147},
	{name: "open_resource", serve: irtOpenResource},

	{name: "sysbrk", serve: irtSysbrk},
	{name: "mmap_data", serve: irtMmapData},
	{name: "mmap", serve: irtMmap},
	{name: "munmap", slot: 22},
	{name: "mprotect", slot: 24},
	{name: "list_mappings", serve: irtListMappings},
	{name: "allocate_code_data", serve: irtAllocate},
	{name: "dyncode_create", slot: 104},
	{name: "dyncode_modify", slot: 105},
	{name: "dyncode_delete", slot: 106},

	{name: "thread_create", serve: irtThreadCreate},
	{name: "thread_exit", slot: 81},
	{name: "thread_nice", slot: 83},
	{name: "tls_init", slot: 82},
	{name: "futex_wait_abs", slot: 120, blocks: true},
	{name: "futex_wake", slot: 121, out: 3},
	{name: "mutex_create", slot: 70, out: 1},
	{name: "mutex_lock", slot: 71, blocks: true},
	{name: "mutex_unlock", slot: 73},
	{name: "mutex_trylock", slot: 72},
	{name: "cond_create", slot: 74, out: 1},
	{name: "cond_signal", slot: 76},
	{name: "cond_broadcast", slot: 77},
	{name: "cond_wait", slot: 75, blocks: true},
	{name: "cond_timed_wait_abs", slot: 79, blocks: true},
	{name: "sem_create", slot: 100, out: 1},
	{name: "sem_post", slot: 102},
	{name: "sem_wait", slot: 101, blocks: true},

	{name: "register_block_hooks", serve: irtHooks},
	{name: "get_random_bytes", serve: irtRandom, blocks: true},
	{name: "clock_getres", slot: 43},
	{name: "clock_gettime", slot: 44},
	{name: "getpid", slot: 31, out: 1},
	{name: "exception_handler", slot: 87},
	{name: "exception_stack", slot: 88},
	{name: "exception_clear_flag", slot: 89},
}

// Functions of several interfaces.
const (
	irtFdio     = "close dup dup2 read write seek fstat getdents"
	irtFdio2    = irtFdio + " fchdir fchmod fsync fdatasync ftruncate"
	irtFilename = "open stat mkdir rmdir chdir getcwd unlink"
)

// irtInterfaces are the functions of each interface in the order of its table.
var irtInterfaces = map[string]string{
	"nacl-irt-basic-0.1":              "exit gettod clock nanosleep sched_yield sysconf",
	"nacl-irt-fdio-0.1":               irtFdio,
	"nacl-irt-dev-fdio-0.1":           irtFdio,
	"nacl-irt-dev-fdio-0.2":           irtFdio2,
	"nacl-irt-dev-fdio-0.3":           irtFdio2 + " isatty",
	"nacl-irt-filename-0.1":           "open stat",
	"nacl-irt-dev-filename-0.2":       irtFilename,
	"nacl-irt-dev-filename-0.3":       irtFilename + " truncate lstat link rename symlink chmod access readlink utimes",
	"nacl-irt-memory-0.1":             "sysbrk mmap_data munmap",
	"nacl-irt-memory-0.2":             "sysbrk mmap munmap mprotect",
	"nacl-irt-memory-0.3":             "mmap munmap mprotect",
	"nacl-irt-dyncode-0.1":            "dyncode_create dyncode_modify dyncode_delete",
	"nacl-irt-thread-0.1":             "thread_create thread_exit thread_nice",
	"nacl-irt-futex-0.1":              "futex_wait_abs futex_wake",
	"nacl-irt-mutex-0.1":              "mutex_create close mutex_lock mutex_unlock mutex_trylock",
	"nacl-irt-cond-0.1":               "cond_create close cond_signal cond_broadcast cond_wait cond_timed_wait_abs",
	"nacl-irt-sem-0.1":                "sem_create close sem_post sem_wait",
	"nacl-irt-tls-0.1":                "tls_init tls_get",
	"nacl-irt-blockhook-0.1":          "register_block_hooks",
	"nacl-irt-random-0.1":             "get_random_bytes",
	"nacl-irt-clock_get-0.1":          "clock_getres clock_gettime",
	"nacl-irt-dev-getpid-0.1":         "getpid",
	"nacl-irt-exception-handling-0.1": "exception_handler exception_stack exception_clear_flag",
	"nacl-irt-dev-list-mappings-0.1":  "list_mappings",
	"nacl-irt-code-data-alloc-0.1":    "allocate_code_data",
	"nacl-irt-resource-open-0.1":      "open_resource",
}

// irtTables are the interfaces as the guest gets them.
var irtTables = map[string][]byte{}

func init() {
	classicCalls[irtQuerySlot] = &call{"irt_query", irtQuery, list(aPath, aPtr, aSize), rInt}
	address := map[string]uint32{"tls_get": irtAddress(84)} // the trampoline does it all
	for i := range irtFuncs {
		f := &irtFuncs[i]
		slot := irtQuerySlot + 1 + uint32(i)
		address[f.name] = irtAddress(slot)
		classicCalls[slot] = &call{"irt_" + f.name, f.call, list(aHex, aHex, aHex, aHex, aHex, aHex), rInt}
		if slot > runtime.LastPersonalSlot {
			panic("libcshim: more functions than trampolines")
		}
	}
	for name, funcs := range irtInterfaces {
		var table []byte
		for _, f := range strings.Fields(funcs) {
			if address[f] == 0 {
				panic("libcshim: the IRT has no function " + f)
			}
			table = le.AppendUint32(table, address[f])
		}
		irtTables[name] = table
	}
}

// irtQuery copies the table of an interface, if there is such a one and room for it,
// and returns its size, or 0.
func irtQuery(k *task, a *args) (int64, error) {
	const longest = 128
	name, err := k.p.mem.ReadString(uint32(a[0]), longest)
	if err != nil {
		return 0, nil
	}
	table := irtTables[name]
	if table == nil || uint64(len(table)) > uint64(uint32(a[2])) || k.write(a[1], table) != nil {
		return 0, nil
	}
	return int64(len(table)), nil
}

// call serves a call of the function.
func (f *irtFunc) call(k *task, a *args) (int64, error) {
	hooks := &k.p.classic.hooks
	if f.blocks && !k.hooked {
		if pre := hooks[0].Load(); pre != 0 {
			k.hooked = true
			if _, err := k.t.Invoke(pre); err != nil {
				return 0, errRestart // the thread is ending
			}
		}
	}
	err := f.do(k, a)
	if err == errRestart || err == errRestartUnlessHandled {
		return 0, err // the call is made again
	}
	if k.hooked {
		k.hooked = false
		if _, err := k.t.Invoke(hooks[1].Load()); err != nil {
			return 0, errRestart
		}
	}
	if err != nil {
		return int64(errnoOf(err)), nil
	}
	return 0, nil
}

func (f *irtFunc) do(k *task, a *args) error {
	if f.slot == 0 {
		_, err := f.serve(k, a)
		return err
	}
	b := *a
	if f.out > 0 {
		copy(b[f.out-1:], a[f.out:])
		b[5] = 0
	}
	n, err := k.nacl(f.slot, b)
	if err != nil || f.out == 0 {
		return err
	}
	return k.store32(a[f.out-1], uint32(n))
}

// nacl makes one of NaCl's calls.
func (k *task) nacl(slot uint32, a args) (int64, error) {
	switch n := k.t.NaClCall(slot, a); {
	case n == runtime.Restart:
		return 0, errRestart
	case n == runtime.RestartUnlessHandled:
		return 0, errRestartUnlessHandled
	case n < 0 && n > -4096:
		return 0, unix.Errno(-n)
	default:
		return n, nil
	}
}

func irtSeek(k *task, a *args) (int64, error) {
	at, err := k.classicSeek(a[0], a[1], uint64(uint32(a[2])))
	if err != nil {
		return 0, err
	}
	return 0, k.store64(a[3], uint64(at))
}

// irtOpenResource opens a file for reading.
func irtOpenResource(k *task, a *args) (int64, error) {
	fd, err := k.nacl(10, args{a[0], unix.O_RDONLY})
	if err != nil {
		return 0, err
	}
	return 0, k.store32(a[1], uint32(fd))
}

// irtSysbrk changes *brk only if it got what it asked for.
func irtSysbrk(k *task, a *args) (int64, error) {
	want, err := k.p.mem.Load32(uint32(a[0]))
	if err != nil {
		return 0, err
	}
	got, err := classicBrk(k, &args{uint64(want)})
	if err != nil {
		return 0, err
	}
	if want != 0 && uint32(got) != want {
		return 0, unix.ENOMEM
	}
	return 0, k.store32(a[0], uint32(got))
}

// irtMmap takes the address by reference and the offset by value.
func irtMmap(k *task, a *args) (int64, error) {
	addr, err := k.p.mem.Load32(uint32(a[0]))
	if err != nil {
		return 0, err
	}
	n, prot := uint64(uint32(a[1])), uint64(uint32(a[2]))
	at, err := k.classicMap(uint64(addr), n, prot, uint64(uint32(a[3])), a[4], int64(a[5]))
	if err != nil {
		return 0, err
	}
	if prot&unix.PROT_EXEC != 0 {
		m := k.p.classic
		m.codeMu.Lock()
		m.nextCode = max(m.nextCode, uint32(at)+uint32(n))
		m.codeMu.Unlock()
	}
	return 0, k.store32(a[0], uint32(at))
}

// irtMmapData is that of the first version, which ignores PROT_EXEC.
func irtMmapData(k *task, a *args) (int64, error) {
	b := *a
	b[2] &^= unix.PROT_EXEC
	return irtMmap(k, &b)
}

// irtListMappings returns errors with the wrong sign, as the original does.
func irtListMappings(k *task, a *args) (int64, error) {
	n, err := k.nacl(25, args{a[0], a[1]})
	if err != nil {
		return 0, -errnoOf(err)
	}
	return 0, k.store32(a[2], uint32(n))
}

// irtAllocate finds address space for code and, at a distance, for data that
// belong to it.
func irtAllocate(k *task, a *args) (int64, error) {
	const least = 0x10000000
	hint, code, off, data := uint64(uint32(a[0])), uint64(uint32(a[1])), uint64(uint32(a[2])), uint64(uint32(a[3]))
	if code == 0 || (hint|code|off|data)%loader.ClassicPage != 0 || data != 0 && off < least {
		return 0, unix.EINVAL
	}
	m := k.p.classic
	m.codeMu.Lock()
	defer m.codeMu.Unlock()
	limit := uint64(m.file.DynamicEnd)
	for at := max(uint64(m.nextCode), hint); at+code <= limit; at += code {
		if data != 0 {
			if at+off+data > cage.Size {
				break
			}
			got, err := k.classicMap(at+off, data, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, 0, 0)
			if err != nil {
				return 0, err
			}
			if uint64(got) < at+off {
				if err := k.p.dom.Cage().Unmap(uint32(got), data); err != nil {
					return 0, err
				}
				continue
			}
			if at = uint64(got) - off; at+code > limit {
				_ = k.p.dom.Cage().Unmap(uint32(got), data)
				break
			}
		}
		m.nextCode = uint32(at + code)
		return 0, k.store32(a[4], uint32(at))
	}
	return 0, unix.ENOMEM
}

// irtThreadCreate starts a thread whose second word is the IRT's: unused here.
func irtThreadCreate(k *task, a *args) (int64, error) { return k.nacl(80, args{a[0], a[1], a[2]}) }

func irtHooks(k *task, a *args) (int64, error) {
	pre, post := uint32(a[0]), uint32(a[1])
	if pre == 0 || post == 0 {
		return 0, unix.EINVAL
	}
	m := k.p.classic
	m.codeMu.Lock()
	defer m.codeMu.Unlock()
	if m.hooks[0].Load() != 0 {
		return 0, unix.EBUSY
	}
	m.hooks[1].Store(post) // whoever sees the first finds the second
	m.hooks[0].Store(pre)
	return 0, nil
}

// irtRandom fills the whole buffer.
func irtRandom(k *task, a *args) (int64, error) {
	if _, err := k.nacl(150, args{a[0], a[1]}); err != nil {
		return 0, err
	}
	return 0, k.store32(a[2], uint32(a[1]))
}
