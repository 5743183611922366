package libcshim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/runtime"
)

// TestRandomCalls makes calls with arguments as a hostile guest would choose
// them, in the place of a harmless one of a program that runs. Nothing may panic, block for
// good, or reach the host's files. HALITE_RANDOM_SECONDS makes it longer.
func TestRandomCalls(t *testing.T) {
	prog := scenes(t)
	limit := time.Second
	if s, err := strconv.Atoi(os.Getenv("HALITE_RANDOM_SECONDS")); err == nil {
		limit = time.Duration(s) * time.Second
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	calls, processes := 0, 0
	for end := time.Now().Add(limit); time.Now().Before(end); processes++ {
		calls += randomCalls(t, prog, rnd, end)
	}
	t.Logf("%d calls of %d processes", calls, processes)
}

func randomCalls(t *testing.T, prog string, rnd *rand.Rand, end time.Time) int {
	t.Helper()
	dir := t.TempDir()
	r := scene(t, prog, "o", "1000000000")
	r.cfg.Namespace = newTree(t, prog, dir)
	r.cfg.MaxMemory = 256 << 20
	r.cfg.MaxThreads = 20
	p, err := NewProcess(r.cfg)
	check(t, err)
	defer p.Close()
	data, err := p.dom.Cage().Map(0, 1<<16, cage.ProtRead|cage.ProtWrite, cage.Hint)
	check(t, err)
	names := []string{"/tmp/a", "/tmp/b/c", "/w/a", "/w/b", "..", "../../../etc", "/dev/fd/3", "/proc/self/fd/0", "/w/../tmp", "a", "", "/w/a/../..", "/dev/full"}
	at := data
	var paths []uint64
	for _, n := range names {
		check(t, p.mem.Write(at, append([]byte(n), 0)))
		paths = append(paths, uint64(at))
		at += 64
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(300 * time.Microsecond):
				p.main.Kick()
			}
		}
	}()
	value := func() uint64 {
		switch rnd.IntN(12) {
		case 0:
			return paths[rnd.IntN(len(paths))]
		case 1, 2:
			return uint64(data) + uint64(rnd.IntN(1<<16))
		case 3:
			return uint64(rnd.IntN(12))
		case 4:
			return 1<<uint(rnd.IntN(64)) - uint64(rnd.IntN(3))
		case 5:
			return ^uint64(rnd.IntN(200))
		case 6:
			return uint64(data) &^ 4095
		case 7:
			return uint64(rnd.IntN(64)) * 4096
		case 8:
			return rnd.Uint64()
		case 9:
			return uint64(rnd.IntN(1 << 12))
		case 10:
			return uint64(rnd.Uint32())
		}
		return 0
	}
	// The program calls getppid all the time; each time, this is what it gets.
	n := 0
	own := linuxCalls[unix.SYS_GETPPID].serve
	defer func() { linuxCalls[unix.SYS_GETPPID].serve = own }()
	linuxCalls[unix.SYS_GETPPID].serve = func(k *task, _ *args) (int64, error) {
		if k.t != p.main {
			return 0, nil
		}
		if n++; n > 3000 || time.Now().After(end) {
			p.dom.Exit(0)
			return 0, nil
		}
		nr := uint64(rnd.IntN(maxLinuxCall))
		if rnd.IntN(20) == 0 {
			nr = 0x4000 + uint64(rnd.IntN(32))
		}
		switch nr {
		case unix.SYS_GETPPID:
			return 0, nil
		case unix.SYS_EXIT_GROUP, unix.SYS_EXIT, unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_TGKILL, unix.SYS_RT_SIGRETURN, sysUnmapExit, unix.SYS_MUNMAP, unix.SYS_MPROTECT:
			if rnd.IntN(200) != 0 {
				return 0, nil
			}
		}
		c := lookup(nr)
		if c == nil {
			return 0, unix.ENOSYS
		}
		a := args{value(), value(), value(), value(), value(), value()}
		start := time.Now()
		v, err := c.serve(k, &a)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s %#x took %v", c.name, a, took)
		}
		if r := result(v, err); r < -4096 || r > 1<<62 && nr != unix.SYS_LSEEK {
			t.Errorf("%s %#x = %d", c.name, a, r)
		}
		return v, err
	}
	if _, err := p.Run(within(t, time.Minute)); errors.Is(err, context.DeadlineExceeded) {
		t.Error("it hangs")
	}
	return n
}

// TestClassicRandomCalls does the same to the calls of the classic ABI and the functions
// of its IRT: whatever a program asks for, it ends, and no result has more than 32
// bits, as a place of the host would.
func TestClassicRandomCalls(t *testing.T) {
	limit := time.Second
	if s, err := strconv.Atoi(os.Getenv("HALITE_RANDOM_SECONDS")); err == nil {
		limit = time.Duration(s) * time.Second
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	calls, programs := 0, 0
	for end := time.Now().Add(limit); time.Now().Before(end); programs++ {
		calls += classicRandomCalls(t, rnd)
	}
	t.Logf("%d calls of %d programs", calls, programs)
}

func classicRandomCalls(t *testing.T, rnd *rand.Rand) (made int) {
	t.Helper()
	s := newScript(t)
	dir := s.mounted([]string{"memory", "host"}[rnd.IntN(2)])
	defer os.RemoveAll(dir)
	s.cfg.MaxMemory, s.cfg.MaxThreads, s.cfg.MaxFiles = 256<<20, 20, 50
	s.cfg.Stdout, s.cfg.Stderr = io.Discard, io.Discard
	s.handled()
	s.file("f", 3, 0x18000, 0)
	var places []uint64
	for _, name := range []string{"/w/a", "/w/f", "/w/b/c", "..", "../../../etc", "/dev/null", "", "nacl-irt-basic-0.1"} {
		places = append(places, s.str(name))
	}
	for _, v := range []uint64{0, 0x10000, 1 << 40, ^uint64(0)} {
		places = append(places, s.word(v))
	}
	for _, fn := range s.fns {
		places = append(places, fn)
	}
	value := func() uint64 {
		switch rnd.IntN(12) {
		case 0, 1, 2:
			return places[rnd.IntN(len(places))]
		case 3:
			return driverText + uint64(rnd.IntN(1<<15))
		case 4:
			return uint64(rnd.IntN(12))
		case 5:
			return 1<<uint(rnd.IntN(64)) - uint64(rnd.IntN(3))
		case 6:
			return ^uint64(rnd.IntN(200))
		case 7:
			return uint64(rnd.IntN(1<<16)) << 16
		case 8:
			return rnd.Uint64()
		case 9:
			return uint64(rnd.Uint32())
		case 10:
			return 0x30000 + uint64(rnd.IntN(8))*32
		}
		return 0
	}
	first := len(s.records)
	for len(s.records) < 500 {
		slot := uint32(rnd.IntN(160))
		if rnd.IntN(3) == 0 {
			slot = irtQuerySlot + uint32(rnd.IntN(len(irtFuncs)+3))
		}
		name := ""
		if c := classicCalls[slot]; c != nil {
			name = strings.TrimPrefix(c.name, "irt_")
		}
		switch {
		case slot == 30, slot == 81, name == "exit", name == "thread_exit", // the end
			slot == 42, slot == 61, slot == 64, slot == 71, slot == 75, slot == 101, slot == 120, name == "nanosleep", name == "futex_wait_abs",
			name == "mutex_lock", name == "cond_wait", name == "sem_wait", // may be one too
			slot == 22, slot == 24, name == "munmap", name == "mprotect": // of what the program needs
			if rnd.IntN(100) != 0 {
				continue
			}
		}
		s.add(fmt.Sprintf("slot %d, %s", slot, name), trampoline(slot), 0, nil, []uint64{value(), value(), value(), value(), value(), value()})
	}
	s.load()
	_, err := s.p.Run(within(t, 100*time.Millisecond))
	var fault *runtime.FaultError
	if err != nil && !errors.As(err, &fault) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the program ended with %v", err)
	}
	for i, r := range s.records[first:] {
		got, err := s.p.mem.Load64(uint32(driverScript + (first+i)*driverRecord + 56))
		if err != nil {
			break // it has unmapped that
		}
		if got>>32 != 0 {
			t.Errorf("%s returned %#x", r.what, got)
		}
		if got != 0 {
			made++
		}
	}
	check(t, s.p.Close())
	return made
}
