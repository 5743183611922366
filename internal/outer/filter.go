package outer

import "golang.org/x/sys/unix"

// allowed are the system calls that remain, by who makes them.
var allowed = []uint32{
	// The Go runtime: memory, threads, signals, timers, its poller.
	unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_BRK,
	unix.SYS_FUTEX, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_RESTART_SYSCALL, unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST, unix.SYS_ARCH_PRCTL,
	unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_GETTIMEOFDAY,
	unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE, unix.SYS_SETITIMER,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_WAIT, unix.SYS_EVENTFD2,
	unix.SYS_GETRANDOM, unix.SYS_UNAME, unix.SYS_GETRLIMIT, unix.SYS_GETRUSAGE, unix.SYS_MEMBARRIER,
	unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,

	// The engine and the cages.
	unix.SYS_MREMAP, unix.SYS_MEMFD_CREATE, unix.SYS_FTRUNCATE, unix.SYS_MSYNC,

	// Files, by descriptor and below a directory.
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_PREADV, unix.SYS_PWRITEV,
	unix.SYS_LSEEK, unix.SYS_CLOSE, unix.SYS_FSTAT, unix.SYS_FSTATFS, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FALLOCATE,
	unix.SYS_FCHMOD, unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_FCNTL, unix.SYS_FLOCK, unix.SYS_GETDENTS64,
	unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_NEWFSTATAT, unix.SYS_STATX, unix.SYS_READLINKAT, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2,
	unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2, unix.SYS_RENAMEAT, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_UTIMENSAT, unix.SYS_FCHMODAT,
	unix.SYS_UMASK, unix.SYS_PIPE2, unix.SYS_POLL, unix.SYS_PPOLL, unix.SYS_SPLICE, unix.SYS_COPY_FILE_RANGE, unix.SYS_SENDFILE,

	// IMC: pairs of sockets and messages over what is connected. No socket can be
	// made that has a name.
	unix.SYS_SOCKETPAIR, unix.SYS_SENDMSG, unix.SYS_RECVMSG, unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SHUTDOWN, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT,
}

// Offsets in what a filter looks at, struct seccomp_data. Of an argument it sees
// the lower half first.
const (
	dataNumber = 0
	dataArch   = 4
	dataArg0   = 16
	dataArg1   = 24
)

// assemble makes the program: another architecture's calls, x32's among them, kill
// the process; what is not allowed is EPERM. Three calls depend on an argument:
//
//   - clone makes threads only;
//   - tgkill reaches this process only, whose number is pid;
//   - ioctl can't type into a terminal (TIOCSTI, TIOCLINUX).
func assemble(pid uint32) []unix.SockFilter {
	const (
		load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		jeq  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		jge  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		ret  = unix.BPF_RET | unix.BPF_K
		jset = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		x32  = 0x40000000

		allow  = unix.SECCOMP_RET_ALLOW
		refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	)
	p := []unix.SockFilter{
		{Code: load, K: dataArch},
		{Code: jeq, K: unix.AUDIT_ARCH_X86_64, Jt: 1},
		{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: dataNumber},
		{Code: jge, K: x32, Jf: 1},
		{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS},

		{Code: jeq, K: unix.SYS_CLONE, Jf: 4},
		{Code: load, K: dataArg0},
		{Code: jset, K: unix.CLONE_THREAD, Jf: 1},
		{Code: ret, K: allow},
		{Code: ret, K: refuse},

		{Code: jeq, K: unix.SYS_TGKILL, Jf: 4},
		{Code: load, K: dataArg0},
		{Code: jeq, K: pid, Jf: 1},
		{Code: ret, K: allow},
		{Code: ret, K: refuse},

		{Code: jeq, K: unix.SYS_IOCTL, Jf: 5},
		{Code: load, K: dataArg1},
		{Code: jeq, K: unix.TIOCSTI, Jt: 2},
		{Code: jeq, K: unix.TIOCLINUX, Jt: 1},
		{Code: ret, K: allow},
		{Code: ret, K: refuse},
	}
	for _, nr := range allowed {
		p = append(p, unix.SockFilter{Code: jeq, K: nr, Jf: 1}, unix.SockFilter{Code: ret, K: allow})
	}
	return append(p, unix.SockFilter{Code: ret, K: refuse})
}
