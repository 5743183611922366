package libcshim

import (
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/ld"
)

// handler serves one call.
type handler func(k *task, a *args) (int64, error)

// A call is one row of the table: what the number means, and how --trace prints
// the arguments. Out arguments are printed after the call.
type call struct {
	name  string
	serve handler
	args  []argKind
	ret   retKind
}

// lookup finds a call by number; nil when it is not served.
func lookup(nr uint64) *call {
	if nr < uint64(len(linuxCalls)) {
		if c := &linuxCalls[nr]; c.serve != nil {
			return c
		}
		return nil
	}
	return haliteCalls[nr]
}

const maxLinuxCall = 512

// linuxCalls is indexed by the numbers of Linux x86-64. A number without a
// handler is ENOSYS; those that are refused on purpose are here with their
// refusal.
var linuxCalls [maxLinuxCall]call

// haliteCalls are the private numbers from 0x4000; see docs/abi.md.
var haliteCalls = map[uint64]*call{
	ld.SysTLSModule: {"dl_tls_module", sysDL(ld.SysTLSModule), list(aInt, aPtr), rInt},
	ld.SysNextInit:  {"dl_next_init", sysDL(ld.SysNextInit), list(aPtr), rHex},
	ld.SysNextFini:  {"dl_next_fini", sysDL(ld.SysNextFini), list(aPtr), rHex},
	ld.SysOpen:      {"dl_open", sysDL(ld.SysOpen), list(aPath, aHex, aPtr), rHex},
	ld.SysSym:       {"dl_sym", sysDL(ld.SysSym), list(aPtr, aPath, aPath, aPtr, aPtr), rInt},
	ld.SysClose:     {"dl_close", sysDL(ld.SysClose), list(aPtr), rHex},
	ld.SysUnload:    {"dl_unload", sysDL(ld.SysUnload), list(aPtr), rInt},
	ld.SysError:     {"dl_error", sysDL(ld.SysError), list(aPtr, aSize), rInt},
	ld.SysAddr:      {"dl_addr", sysDL(ld.SysAddr), list(aPtr, aPtr), rInt},
	ld.SysPhdr:      {"dl_phdr", sysDL(ld.SysPhdr), list(aInt, aPtr), rInt},
	ld.SysInfo:      {"dl_info", sysDL(ld.SysInfo), list(aPtr, aInt, aPtr), rInt},

	ld.SysTLSStart:   {"dl_tls_start", sysDL(ld.SysTLSStart), list(aInt, aInt, aPtr), rInt},
	ld.SysTLSAdded:   {"dl_tls_added", sysDL(ld.SysTLSAdded), list(aPtr), rInt},
	ld.SysTLSRemoved: {"dl_tls_removed", sysDL(ld.SysTLSRemoved), list(aInt, aInt), rInt},
	sysThreadSpawn:   {"thread_spawn", threadSpawn, list(aPtr, aPtr, aPtr, aPtr, aPtr, aPtr), rInt},
	sysUnmapExit:     {"unmap_exit", unmapExit, list(aPtr, aSize), rInt},
}

func list(kinds ...argKind) []argKind { return kinds }

func init() {
	def := func(nr int, name string, h handler, ret retKind, kinds ...argKind) {
		if linuxCalls[nr].serve != nil {
			panic("libcshim: call defined twice: " + name)
		}
		linuxCalls[nr] = call{name, h, kinds, ret}
	}

	// Descriptors.
	def(unix.SYS_READ, "read", sysRead, rInt, aFD, aOutBuf, aSize)
	def(unix.SYS_WRITE, "write", sysWrite, rInt, aFD, aInBuf, aSize)
	def(unix.SYS_READV, "readv", sysReadv, rInt, aFD, aPtr, aInt)
	def(unix.SYS_WRITEV, "writev", sysWritev, rInt, aFD, aInVec, aInt)
	def(unix.SYS_PREAD64, "pread64", sysPread, rInt, aFD, aOutBuf, aSize, aOff)
	def(unix.SYS_PWRITE64, "pwrite64", sysPwrite, rInt, aFD, aInBuf, aSize, aOff)
	def(unix.SYS_PREADV, "preadv", sysPreadv, rInt, aFD, aPtr, aInt, aOff)
	def(unix.SYS_PWRITEV, "pwritev", sysPwritev, rInt, aFD, aInVec, aInt, aOff)
	def(unix.SYS_PREADV2, "preadv2", sysPreadv2, rInt, aFD, aPtr, aInt, aOff, aNone, aHex)
	def(unix.SYS_PWRITEV2, "pwritev2", sysPwritev2, rInt, aFD, aInVec, aInt, aOff, aNone, aHex)
	def(unix.SYS_OPEN, "open", sysOpen, rInt, aPath, aOpenFlags, aOpenMode)
	def(unix.SYS_OPENAT, "openat", sysOpenat, rInt, aDirFD, aPath, aOpenFlags, aOpenMode)
	def(unix.SYS_CREAT, "creat", sysCreat, rInt, aPath, aMode)
	def(unix.SYS_CLOSE, "close", sysClose, rInt, aFD)
	def(unix.SYS_CLOSE_RANGE, "close_range", sysCloseRange, rInt, aFD, aFD, aHex)
	def(unix.SYS_LSEEK, "lseek", sysLseek, rInt, aFD, aOff, aWhence)
	def(unix.SYS_DUP, "dup", sysDup, rInt, aFD)
	def(unix.SYS_DUP2, "dup2", sysDup2, rInt, aFD, aFD)
	def(unix.SYS_DUP3, "dup3", sysDup3, rInt, aFD, aFD, aOpenFlags)
	def(unix.SYS_FCNTL, "fcntl", sysFcntl, rInt, aFD, aFcntl, aHex)
	def(unix.SYS_FLOCK, "flock", sysFlock, rInt, aFD, aFlock)
	def(unix.SYS_IOCTL, "ioctl", sysIoctl, rInt, aFD, aIoctl, aPtr)
	def(unix.SYS_PIPE, "pipe", sysPipe, rInt, aPairOut)
	def(unix.SYS_PIPE2, "pipe2", sysPipe2, rInt, aPairOut, aOpenFlags)
	def(unix.SYS_FTRUNCATE, "ftruncate", sysFtruncate, rInt, aFD, aOff)
	def(unix.SYS_FALLOCATE, "fallocate", sysFallocate, rInt, aFD, aHex, aOff, aOff)
	def(unix.SYS_FSYNC, "fsync", sysFsync, rInt, aFD)
	def(unix.SYS_FDATASYNC, "fdatasync", sysFsync, rInt, aFD)
	def(unix.SYS_SYNC, "sync", sysZero, rInt)
	def(unix.SYS_SYNCFS, "syncfs", sysFsync, rInt, aFD)
	def(unix.SYS_FADVISE64, "fadvise64", sysAdvise, rInt, aFD, aOff, aOff, aInt)
	def(unix.SYS_READAHEAD, "readahead", sysAdvise, rInt, aFD, aOff, aSize)
	def(unix.SYS_SPLICE, "splice", sysSplice, rInt, aFD, aPtr, aFD, aPtr, aSize, aHex)
	def(unix.SYS_SENDFILE, "sendfile", sysSendfile, rInt, aFD, aFD, aPtr, aSize)
	def(unix.SYS_COPY_FILE_RANGE, "copy_file_range", sysCopyFileRange, rInt, aFD, aPtr, aFD, aPtr, aSize, aHex)
	def(unix.SYS_POLL, "poll", sysPoll, rInt, aPtr, aInt, aInt)
	def(unix.SYS_PPOLL, "ppoll", sysPpoll, rInt, aPtr, aInt, aTimespec, aPtr)
	def(unix.SYS_SELECT, "select", sysSelect, rInt, aInt, aPtr, aPtr, aPtr, aPtr)
	def(unix.SYS_PSELECT6, "pselect6", sysPselect6, rInt, aInt, aPtr, aPtr, aPtr, aTimespec, aPtr)

	// Names.
	def(unix.SYS_STAT, "stat", sysStat, rInt, aPath, aStatOut)
	def(unix.SYS_LSTAT, "lstat", sysLstat, rInt, aPath, aStatOut)
	def(unix.SYS_FSTAT, "fstat", sysFstat, rInt, aFD, aStatOut)
	def(unix.SYS_NEWFSTATAT, "newfstatat", sysNewfstatat, rInt, aDirFD, aPath, aStatOut, aAtFlags)
	def(unix.SYS_STATX, "statx", sysStatx, rInt, aDirFD, aPath, aAtFlags, aHex, aPtr)
	def(unix.SYS_ACCESS, "access", sysAccess, rInt, aPath, aAccess)
	def(unix.SYS_FACCESSAT, "faccessat", sysFaccessat, rInt, aDirFD, aPath, aAccess)
	def(unix.SYS_FACCESSAT2, "faccessat2", sysFaccessat2, rInt, aDirFD, aPath, aAccess, aAtFlags)
	def(unix.SYS_READLINK, "readlink", sysReadlink, rInt, aPath, aOutBuf, aSize)
	def(unix.SYS_READLINKAT, "readlinkat", sysReadlinkat, rInt, aDirFD, aPath, aOutBuf, aSize)
	def(unix.SYS_GETDENTS64, "getdents64", sysGetdents64, rInt, aFD, aPtr, aSize)
	def(unix.SYS_MKDIR, "mkdir", sysMkdir, rInt, aPath, aMode)
	def(unix.SYS_MKDIRAT, "mkdirat", sysMkdirat, rInt, aDirFD, aPath, aMode)
	def(unix.SYS_RMDIR, "rmdir", sysRmdir, rInt, aPath)
	def(unix.SYS_UNLINK, "unlink", sysUnlink, rInt, aPath)
	def(unix.SYS_UNLINKAT, "unlinkat", sysUnlinkat, rInt, aDirFD, aPath, aAtFlags)
	def(unix.SYS_RENAME, "rename", sysRename, rInt, aPath, aPath)
	def(unix.SYS_RENAMEAT, "renameat", sysRenameat, rInt, aDirFD, aPath, aDirFD, aPath)
	def(unix.SYS_RENAMEAT2, "renameat2", sysRenameat2, rInt, aDirFD, aPath, aDirFD, aPath, aHex)
	def(unix.SYS_LINK, "link", sysLink, rInt, aPath, aPath)
	def(unix.SYS_LINKAT, "linkat", sysLinkat, rInt, aDirFD, aPath, aDirFD, aPath, aAtFlags)
	def(unix.SYS_SYMLINK, "symlink", sysSymlink, rInt, aPath, aPath)
	def(unix.SYS_SYMLINKAT, "symlinkat", sysSymlinkat, rInt, aPath, aDirFD, aPath)
	def(unix.SYS_CHMOD, "chmod", sysChmod, rInt, aPath, aMode)
	def(unix.SYS_FCHMOD, "fchmod", sysFchmod, rInt, aFD, aMode)
	def(unix.SYS_FCHMODAT, "fchmodat", sysFchmodat, rInt, aDirFD, aPath, aMode)
	def(sysFchmodat2Nr, "fchmodat2", sysFchmodat2, rInt, aDirFD, aPath, aMode, aAtFlags)
	def(unix.SYS_CHOWN, "chown", sysChown, rInt, aPath, aInt, aInt)
	def(unix.SYS_LCHOWN, "lchown", sysLchown, rInt, aPath, aInt, aInt)
	def(unix.SYS_FCHOWN, "fchown", sysFchown, rInt, aFD, aInt, aInt)
	def(unix.SYS_FCHOWNAT, "fchownat", sysFchownat, rInt, aDirFD, aPath, aInt, aInt, aAtFlags)
	def(unix.SYS_UTIMENSAT, "utimensat", sysUtimensat, rInt, aDirFD, aPath, aPtr, aAtFlags)
	def(unix.SYS_UTIMES, "utimes", sysUtimes, rInt, aPath, aPtr)
	def(unix.SYS_FUTIMESAT, "futimesat", sysFutimesat, rInt, aDirFD, aPath, aPtr)
	def(unix.SYS_UTIME, "utime", sysUtime, rInt, aPath, aPtr)
	def(unix.SYS_TRUNCATE, "truncate", sysTruncate, rInt, aPath, aOff)
	def(unix.SYS_GETCWD, "getcwd", sysGetcwd, rInt, aPathOut, aSize)
	def(unix.SYS_CHDIR, "chdir", sysChdir, rInt, aPath)
	def(unix.SYS_FCHDIR, "fchdir", sysFchdir, rInt, aFD)
	def(unix.SYS_UMASK, "umask", sysUmask, rOct, aMode)
	def(unix.SYS_STATFS, "statfs", sysStatfs, rInt, aPath, aPtr)
	def(unix.SYS_FSTATFS, "fstatfs", sysFstatfs, rInt, aFD, aPtr)
	def(unix.SYS_MKNOD, "mknod", sysMknod, rInt, aPath, aMode, aHex)
	def(unix.SYS_MKNODAT, "mknodat", sysMknodat, rInt, aDirFD, aPath, aMode, aHex)
	def(unix.SYS_MOUNT, "mount", refuse(unix.EPERM), rInt, aPath, aPath, aPath, aHex, aPtr)
	def(unix.SYS_UMOUNT2, "umount2", refuse(unix.EPERM), rInt, aPath, aHex)
	def(unix.SYS_CHROOT, "chroot", refuse(unix.EPERM), rInt, aPath)

	// Memory.
	def(unix.SYS_MMAP, "mmap", sysMmap, rHex, aPtr, aSize, aProt, aMapFlags, aMapFD, aHex)
	def(unix.SYS_MUNMAP, "munmap", sysMunmap, rInt, aPtr, aSize)
	def(unix.SYS_MPROTECT, "mprotect", sysMprotect, rInt, aPtr, aSize, aProt)
	def(unix.SYS_MREMAP, "mremap", sysMremap, rHex, aPtr, aSize, aSize, aHex)
	def(unix.SYS_MADVISE, "madvise", sysMadvise, rInt, aPtr, aSize, aAdvice)
	def(unix.SYS_MSYNC, "msync", sysMsync, rInt, aPtr, aSize, aHex)
	def(unix.SYS_MINCORE, "mincore", sysMincore, rInt, aPtr, aSize, aPtr)
	def(unix.SYS_MLOCK, "mlock", sysLock, rInt, aPtr, aSize)
	def(unix.SYS_MLOCK2, "mlock2", sysLock, rInt, aPtr, aSize, aHex)
	def(unix.SYS_MUNLOCK, "munlock", sysLock, rInt, aPtr, aSize)
	def(unix.SYS_MLOCKALL, "mlockall", sysLock, rInt, aHex)
	def(unix.SYS_MUNLOCKALL, "munlockall", sysLock, rInt)
	def(unix.SYS_BRK, "brk", sysBrk, rHex, aPtr)
	def(unix.SYS_MEMBARRIER, "membarrier", sysMembarrier, rInt, aInt, aHex)

	// Time.
	def(unix.SYS_CLOCK_GETTIME, "clock_gettime", sysClockGettime, rInt, aClock, aTimespecOut)
	def(unix.SYS_CLOCK_GETRES, "clock_getres", sysClockGetres, rInt, aClock, aTimespecOut)
	def(unix.SYS_CLOCK_SETTIME, "clock_settime", sysClockSettime, rInt, aClock, aTimespec)
	def(unix.SYS_CLOCK_NANOSLEEP, "clock_nanosleep", sysClockNanosleep, rInt, aClock, aHex, aTimespec, aPtr)
	def(unix.SYS_NANOSLEEP, "nanosleep", sysNanosleep, rInt, aTimespec, aPtr)
	def(unix.SYS_GETTIMEOFDAY, "gettimeofday", sysGettimeofday, rInt, aPtr, aPtr)
	def(unix.SYS_TIME, "time", sysTime, rInt, aPtr)
	def(unix.SYS_TIMES, "times", sysTimes, rInt, aPtr)
	def(unix.SYS_GETRUSAGE, "getrusage", sysGetrusage, rInt, aInt, aPtr)
	def(unix.SYS_ALARM, "alarm", sysAlarm, rInt, aInt)
	def(unix.SYS_SETITIMER, "setitimer", sysSetitimer, rInt, aInt, aPtr, aPtr)
	def(unix.SYS_GETITIMER, "getitimer", sysGetitimer, rInt, aInt, aPtr)
	def(unix.SYS_TIMER_CREATE, "timer_create", sysTimerCreate, rInt, aClock, aPtr, aPtr)
	def(unix.SYS_TIMER_SETTIME, "timer_settime", sysTimerSettime, rInt, aInt, aHex, aPtr, aPtr)
	def(unix.SYS_TIMER_GETTIME, "timer_gettime", sysTimerGettime, rInt, aInt, aPtr)
	def(unix.SYS_TIMER_GETOVERRUN, "timer_getoverrun", sysTimerGetoverrun, rInt, aInt)
	def(unix.SYS_TIMER_DELETE, "timer_delete", sysTimerDelete, rInt, aInt)

	// The process.
	def(unix.SYS_GETPID, "getpid", sysGetpid, rInt)
	def(unix.SYS_GETTID, "gettid", sysGettid, rInt)
	def(unix.SYS_GETPPID, "getppid", sysGetppid, rInt)
	def(unix.SYS_GETUID, "getuid", sysGetuid, rInt)
	def(unix.SYS_GETEUID, "geteuid", sysGetuid, rInt)
	def(unix.SYS_GETGID, "getgid", sysGetgid, rInt)
	def(unix.SYS_GETEGID, "getegid", sysGetgid, rInt)
	def(unix.SYS_GETRESUID, "getresuid", getIDs(false), rInt, aPtr, aPtr, aPtr)
	def(unix.SYS_GETRESGID, "getresgid", getIDs(true), rInt, aPtr, aPtr, aPtr)
	def(unix.SYS_SETUID, "setuid", setIDs(1, false), rInt, aInt)
	def(unix.SYS_SETGID, "setgid", setIDs(1, true), rInt, aInt)
	def(unix.SYS_SETREUID, "setreuid", setIDs(2, false), rInt, aInt, aInt)
	def(unix.SYS_SETREGID, "setregid", setIDs(2, true), rInt, aInt, aInt)
	def(unix.SYS_SETRESUID, "setresuid", setIDs(3, false), rInt, aInt, aInt, aInt)
	def(unix.SYS_SETRESGID, "setresgid", setIDs(3, true), rInt, aInt, aInt, aInt)
	def(unix.SYS_GETGROUPS, "getgroups", sysGetgroups, rInt, aInt, aPtr)
	def(unix.SYS_SETGROUPS, "setgroups", refuse(unix.EPERM), rInt, aInt, aPtr)
	def(unix.SYS_GETPGID, "getpgid", sysGetpgid, rInt, aInt)
	def(unix.SYS_GETSID, "getsid", sysGetsid, rInt, aInt)
	def(unix.SYS_GETPGRP, "getpgrp", sysGetpgrp, rInt)
	def(unix.SYS_SETPGID, "setpgid", sysSetpgid, rInt, aInt, aInt)
	def(unix.SYS_SETSID, "setsid", sysSetsid, rInt)
	def(unix.SYS_UNAME, "uname", sysUname, rInt, aPtr)
	def(unix.SYS_SYSINFO, "sysinfo", sysSysinfo, rInt, aPtr)
	def(unix.SYS_GETRANDOM, "getrandom", sysGetrandom, rInt, aPtr, aSize, aHex)
	def(unix.SYS_GETRLIMIT, "getrlimit", sysGetrlimit, rInt, aInt, aPtr)
	def(unix.SYS_SETRLIMIT, "setrlimit", sysSetrlimit, rInt, aInt, aPtr)
	def(unix.SYS_PRLIMIT64, "prlimit64", sysPrlimit64, rInt, aInt, aInt, aPtr, aPtr)
	def(unix.SYS_PRCTL, "prctl", sysPrctl, rInt, aInt, aHex, aHex, aHex, aHex)
	def(unix.SYS_ARCH_PRCTL, "arch_prctl", sysArchPrctl, rInt, aHex, aPtr)
	def(unix.SYS_EXIT, "exit", sysExit, rInt, aInt)
	def(unix.SYS_EXIT_GROUP, "exit_group", sysExitGroup, rInt, aInt)
	def(unix.SYS_WAIT4, "wait4", sysWait4, rInt, aInt, aPtr, aHex, aPtr)
	def(unix.SYS_WAITID, "waitid", sysWaitid, rInt, aInt, aInt, aPtr, aHex)
	def(unix.SYS_FORK, "fork", sysFork, rInt)
	def(unix.SYS_VFORK, "vfork", sysFork, rInt)
	def(unix.SYS_CLONE, "clone", sysClone, rInt, aHex, aPtr)
	def(unix.SYS_CLONE3, "clone3", refuse(unix.ENOSYS), rInt, aPtr, aSize)
	def(unix.SYS_EXECVE, "execve", sysExecve, rInt, aPath, aPtr, aPtr)
	def(unix.SYS_EXECVEAT, "execveat", sysExecveat, rInt, aDirFD, aPath, aPtr, aPtr, aAtFlags)
	def(unix.SYS_PTRACE, "ptrace", refuse(unix.EPERM), rInt, aInt, aInt, aPtr, aPtr)

	// Threads and scheduling.
	def(unix.SYS_FUTEX, "futex", sysFutex, rInt, aPtr, aFutexOp, aInt, aHex, aPtr, aHex)
	def(unix.SYS_SET_TID_ADDRESS, "set_tid_address", sysSetTidAddress, rInt, aPtr)
	def(unix.SYS_SET_ROBUST_LIST, "set_robust_list", sysSetRobustList, rInt, aPtr, aSize)
	def(unix.SYS_GET_ROBUST_LIST, "get_robust_list", sysGetRobustList, rInt, aInt, aPtr, aPtr)
	def(unix.SYS_SCHED_YIELD, "sched_yield", sysSchedYield, rInt)
	def(unix.SYS_SCHED_GETAFFINITY, "sched_getaffinity", sysSchedGetaffinity, rInt, aInt, aSize, aPtr)
	def(unix.SYS_SCHED_SETAFFINITY, "sched_setaffinity", sysSchedSetaffinity, rInt, aInt, aSize, aPtr)
	def(unix.SYS_SCHED_GETPARAM, "sched_getparam", sysSchedGetparam, rInt, aInt, aPtr)
	def(unix.SYS_SCHED_SETPARAM, "sched_setparam", sysZero, rInt, aInt, aPtr)
	def(unix.SYS_SCHED_GETSCHEDULER, "sched_getscheduler", sysZero, rInt, aInt)
	def(unix.SYS_SCHED_SETSCHEDULER, "sched_setscheduler", sysSchedSetscheduler, rInt, aInt, aInt, aPtr)
	def(unix.SYS_SCHED_GET_PRIORITY_MAX, "sched_get_priority_max", sysSchedPriority, rInt, aInt)
	def(unix.SYS_SCHED_GET_PRIORITY_MIN, "sched_get_priority_min", sysSchedPriority, rInt, aInt)
	def(unix.SYS_SCHED_RR_GET_INTERVAL, "sched_rr_get_interval", sysSchedRRGetInterval, rInt, aInt, aTimespecOut)
	def(unix.SYS_GETPRIORITY, "getpriority", sysGetpriority, rInt, aInt, aInt)
	def(unix.SYS_SETPRIORITY, "setpriority", sysSetpriority, rInt, aInt, aInt, aInt)

	// Signals.
	def(unix.SYS_RT_SIGACTION, "rt_sigaction", sysRtSigaction, rInt, aSignal, aPtr, aPtr, aSize)
	def(unix.SYS_RT_SIGPROCMASK, "rt_sigprocmask", sysRtSigprocmask, rInt, aSigHow, aSigset, aPtr, aSize)
	def(unix.SYS_RT_SIGPENDING, "rt_sigpending", sysRtSigpending, rInt, aPtr, aSize)
	def(unix.SYS_RT_SIGSUSPEND, "rt_sigsuspend", sysRtSigsuspend, rInt, aSigset, aSize)
	def(unix.SYS_RT_SIGTIMEDWAIT, "rt_sigtimedwait", sysRtSigtimedwait, rInt, aSigset, aPtr, aTimespec, aSize)
	def(unix.SYS_RT_SIGQUEUEINFO, "rt_sigqueueinfo", sysRtSigqueueinfo, rInt, aInt, aSignal, aPtr)
	def(unix.SYS_RT_TGSIGQUEUEINFO, "rt_tgsigqueueinfo", sysRtTgsigqueueinfo, rInt, aInt, aInt, aSignal, aPtr)
	def(unix.SYS_RT_SIGRETURN, "rt_sigreturn", sysRtSigreturn, rInt)
	def(unix.SYS_SIGALTSTACK, "sigaltstack", sysSigaltstack, rInt, aPtr, aPtr)
	def(unix.SYS_PAUSE, "pause", sysPause, rInt)
	def(unix.SYS_KILL, "kill", sysKill, rInt, aInt, aSignal)
	def(unix.SYS_PIDFD_OPEN, "pidfd_open", sysPidfdOpen, rInt, aInt, aHex)
	def(unix.SYS_PIDFD_SEND_SIGNAL, "pidfd_send_signal", sysPidfdSendSignal, rInt, aFD, aSignal, aPtr, aHex)
	def(unix.SYS_TKILL, "tkill", sysTkill, rInt, aInt, aSignal)
	def(unix.SYS_TGKILL, "tgkill", sysTgkill, rInt, aInt, aInt, aSignal)

	// Events, and files without a name.
	def(unix.SYS_EVENTFD, "eventfd", sysEventfd, rInt, aInt)
	def(unix.SYS_EVENTFD2, "eventfd2", sysEventfd2, rInt, aInt, aOpenFlags)
	def(unix.SYS_MEMFD_CREATE, "memfd_create", sysMemfdCreate, rInt, aPath, aHex)
	def(unix.SYS_EPOLL_CREATE, "epoll_create", sysEpollCreate, rInt, aInt)
	def(unix.SYS_EPOLL_CREATE1, "epoll_create1", sysEpollCreate1, rInt, aHex)
	def(unix.SYS_EPOLL_CTL, "epoll_ctl", sysEpollCtl, rInt, aFD, aInt, aFD, aPtr)
	def(unix.SYS_EPOLL_WAIT, "epoll_wait", sysEpollWait, rInt, aFD, aPtr, aInt, aInt)
	def(unix.SYS_EPOLL_PWAIT, "epoll_pwait", sysEpollPwait, rInt, aFD, aPtr, aInt, aInt, aSigset)

	// The network: what Config.Network allows, usually nothing. Pairs of connected
	// sockets are another kind of pipe.
	def(unix.SYS_SOCKET, "socket", sysSocket, rInt, aInt, aHex, aInt)
	def(unix.SYS_CONNECT, "connect", sysConnect, rInt, aFD, aPtr, aInt)
	def(unix.SYS_ACCEPT, "accept", sysAccept, rInt, aFD, aPtr, aPtr)
	def(unix.SYS_ACCEPT4, "accept4", sysAccept4, rInt, aFD, aPtr, aPtr, aHex)
	def(unix.SYS_BIND, "bind", sysBind, rInt, aFD, aPtr, aInt)
	def(unix.SYS_LISTEN, "listen", sysListen, rInt, aFD, aInt)
	def(unix.SYS_SOCKETPAIR, "socketpair", sysSocketpair, rInt, aInt, aHex, aInt, aPairOut)
	def(unix.SYS_SENDTO, "sendto", sysSendto, rInt, aFD, aInBuf, aSize, aHex, aPtr, aInt)
	def(unix.SYS_RECVFROM, "recvfrom", sysRecvfrom, rInt, aFD, aOutBuf, aSize, aHex, aPtr, aPtr)
	def(unix.SYS_SENDMSG, "sendmsg", sysSendmsg, rInt, aFD, aPtr, aHex)
	def(unix.SYS_RECVMSG, "recvmsg", sysRecvmsg, rInt, aFD, aPtr, aHex)
	def(unix.SYS_SHUTDOWN, "shutdown", sysShutdown, rInt, aFD, aInt)
	def(unix.SYS_GETSOCKOPT, "getsockopt", sysGetsockopt, rInt, aFD, aInt, aInt, aPtr, aPtr)
	def(unix.SYS_SETSOCKOPT, "setsockopt", sysSetsockopt, rInt, aFD, aInt, aInt, aPtr, aInt)
	def(unix.SYS_GETSOCKNAME, "getsockname", sysGetsockname, rInt, aFD, aPtr, aPtr)
	def(unix.SYS_GETPEERNAME, "getpeername", sysGetpeername, rInt, aFD, aPtr, aPtr)
}

const sysFchmodat2Nr = 452
