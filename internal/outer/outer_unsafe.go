// Package outer puts a second wall around the whole process: what a guest that
// broke out of its sandbox, or a mistake in the host code that serves it, could
// still reach.
//
// The first wall is the validator; this one is the kernel's. Enter can't be
// undone, and holds for every thread, now and later:
//
//   - no_new_privs: no program that is started gains rights;
//   - Landlock: of the file system only the given directories and files can be
//     opened, and no TCP port can be bound or connected to, as far as this kernel
//     can do that;
//   - seccomp: system calls other than those that the Go runtime, the engine and
//     the service of guests make fail with EPERM. No program can be executed, no
//     process traced, no socket made that reaches another machine.
//
// What is open already stays open. What a guest is to be given later must lie
// below the given directories.
//
// Not promised: the kernel's own defects, and side channels of the CPU.
package outer

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Config says what of the file system remains. The names are of the host;
// directories count with all that is below them.
type Config struct {
	ReadOnly  []string
	ReadWrite []string
}

// Enter closes the wall. After an error some of it may be in place: the process
// should end.
//
// Its threads must all be Go's: with runtime/cgo linked there may be others, and
// the error says so.
func Enter(c Config) error {
	if _, _, e := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); e != 0 {
		if e == unix.ENOTSUP {
			return errors.New("outer sandbox: not in a program that links runtime/cgo, whose threads Go does not know; build with CGO_ENABLED=0")
		}
		return fmt.Errorf("outer sandbox: no_new_privs: %w", e)
	}
	if err := restrictFiles(c); err != nil {
		return err
	}
	return restrictCalls()
}

// What Landlock knows of files, by its version.
const (
	readFile = unix.LANDLOCK_ACCESS_FS_READ_FILE
	readDir  = unix.LANDLOCK_ACCESS_FS_READ_DIR
	ioctl    = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV // version 5
	refer    = unix.LANDLOCK_ACCESS_FS_REFER     // version 2: renaming and linking between directories
	truncate = unix.LANDLOCK_ACCESS_FS_TRUNCATE  // version 3

	firstVersion = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | readFile | readDir | changeDir
	changeDir    = unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM

	// What a file, as opposed to a directory, can be given.
	fileRights = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | readFile | truncate
	// What guests can do in directories: devices, sockets and pipes they can't make.
	writeRights = fileRights | readDir | refer | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
)

// restrictFiles uses what this kernel has of Landlock.
func restrictFiles(c Config) error {
	version, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return fmt.Errorf("outer sandbox: this kernel has no Landlock (%w); start it with landlock among lsm=, or do without the outer sandbox", e)
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: firstVersion}
	if version >= 2 {
		attr.Handled_access_fs |= refer
	}
	if version >= 3 {
		attr.Handled_access_fs |= truncate
	}
	if version >= 4 {
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if version >= 5 {
		attr.Handled_access_fs |= ioctl
	}
	if version >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	set, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if e != 0 {
		return fmt.Errorf("outer sandbox: Landlock: %w", e)
	}
	defer unix.Close(int(set))
	for _, name := range c.ReadOnly {
		if err := allowBeneath(set, name, attr.Handled_access_fs&(readFile|readDir)); err != nil {
			return err
		}
	}
	for _, name := range c.ReadWrite {
		if err := allowBeneath(set, name, attr.Handled_access_fs&writeRights); err != nil {
			return err
		}
	}
	if _, _, e := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, set, 0, 0); e != 0 {
		return fmt.Errorf("outer sandbox: Landlock: %w", e)
	}
	return nil
}

func allowBeneath(set uintptr, name string, rights uint64) error {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("outer sandbox: %w", &os.PathError{Op: "open", Path: name, Err: err})
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("outer sandbox: %w", &os.PathError{Op: "stat", Path: name, Err: err})
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	if _, _, e := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, set, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); e != 0 {
		return fmt.Errorf("outer sandbox: Landlock: %s: %w", name, e)
	}
	return nil
}

// restrictCalls installs the filter for all threads at once.
func restrictCalls() error {
	filter := assemble(uint32(os.Getpid()))
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	if e != 0 {
		return fmt.Errorf("outer sandbox: seccomp: %w", e)
	}
	return nil
}
