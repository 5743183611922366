package loader

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/validator"
)

func TestMain(m *testing.M) {
	if err := engine.Init(); err != nil {
		os.Stderr.WriteString("engine: " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func newCage(t testing.TB) *cage.Cage {
	t.Helper()
	c, err := cage.New(cage.Config{Trampolines: engine.Trampolines()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// goodFile is the test file with code that the validator accepts.
func goodFile(t testing.TB) *File {
	t.Helper()
	f, err := newTestFile().read()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mapped(c *cage.Cage) string {
	var b strings.Builder
	for _, m := range c.Mappings() {
		if m.Kind == cage.KindTrampolines {
			continue
		}
		access := []byte("---")
		for i, p := range []cage.Prot{cage.ProtRead, cage.ProtWrite, cage.ProtExec} {
			if m.Prot&p != 0 {
				access[i] = "rwx"[i]
			}
		}
		b.WriteString(string(access))
		b.WriteString(" ")
	}
	return strings.TrimSpace(b.String())
}

func TestMap(t *testing.T) {
	c := newCage(t)
	f := goodFile(t)
	var l Loader
	m, err := l.Map(c, f, Anywhere)
	if err != nil {
		t.Fatal(err)
	}
	if got := mapped(c); got != "r-- r-x rw-" {
		t.Errorf("mapped %q", got)
	}
	mem := safemem.New(c.Base())
	for i := range f.Segments {
		s := &f.Segments[i]
		b := make([]byte, s.FileSize)
		if err := mem.Read(s.Addr+m.Bias, b); err != nil {
			t.Fatalf("segment %d: %v", i, err)
		}
		if !bytes.Equal(b, s.data) {
			t.Errorf("segment %d differs", i)
		}
	}
	page := make([]byte, PageSize)
	if err := mem.Read(0x1000+m.Bias, page); err != nil {
		t.Fatal(err)
	}
	for i, b := range page {
		if b != hlt {
			t.Fatalf("byte %d of the code page is %#x", i, b)
		}
	}
	bss := make([]byte, 0x2000)
	if err := mem.Read(0x3000+m.Bias, bss); err != nil || !bytes.Equal(bss, make([]byte, 0x2000)) {
		t.Errorf("bss: %v", err)
	}
	if err := mem.Write(0x1000+m.Bias, page); !errors.Is(err, safemem.ErrFault) {
		t.Errorf("writing code: %v", err)
	}
	if err := mem.Write(m.Bias, page[:1]); !errors.Is(err, safemem.ErrFault) {
		t.Errorf("writing read-only data: %v", err)
	}
	if !m.Contains(m.Bias) || !m.InText(m.Bias+0x1000) || m.InText(m.Bias+0x2000) || m.Contains(m.Bias+0x5000) {
		t.Error("Contains, InText")
	}
}

func TestMapProgramAtItsAddress(t *testing.T) {
	tf := newTestFile()
	tf.u16("ehdr", 16, 2)
	for i := range 7 {
		name := []string{"ph0", "ph1", "ph2", "ph3", "ph4", "ph5", "ph6"}[i]
		tf.u64(name, phAddr, le.Uint64(tf.b[tf.at[name]+phAddr:])+0x400000)
	}
	tf.u32("ph3", 0, 0) // its addresses are those of the shared object
	tf.u32("ph4", 0, 0)
	tf.u64("ehdr", 24, 0x401000)
	f, err := tf.read()
	if err != nil {
		t.Fatal(err)
	}
	c := newCage(t)
	var l Loader
	m, err := l.Map(c, f, Anywhere)
	if err != nil {
		t.Fatal(err)
	}
	if m.Bias != 0 {
		t.Errorf("bias %#x", m.Bias)
	}
	before := mapped(c)
	if _, err := l.Map(c, f, Anywhere); err == nil || !errors.Is(err, cage.ErrExists) {
		t.Errorf("a second program at the same address: %v", err)
	}
	if got := mapped(c); got != before {
		t.Errorf("after the error: %q, before %q", got, before)
	}
}

func TestRelroAndStaging(t *testing.T) {
	c := newCage(t)
	f := goodFile(t)
	var l Loader
	m := l.Stage(c, f)
	if err := m.Place(Anywhere); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		addr, n uint64
		ok      bool
	}{
		{0x2400, 8, true}, {0x4ff8, 8, true}, {0x4ff9, 8, false}, {0x1000, 8, false}, {0x100, 8, false},
		{0x1ffc, 8, false}, {0x5000, 1, false}, {1 << 40, 8, false}, {^uint64(0), 8, false}, {0x2400, 1 << 40, false},
	} {
		if _, ok := m.Data(x.addr, x.n); ok != x.ok {
			t.Errorf("Data(%#x, %d): %v", x.addr, x.n, ok)
		}
	}
	b, _ := m.Data(0x3800, 4)
	copy(b, "here")
	if f.Segments[2].data[0] != m.staged[2][0] || &f.Segments[2].data[0] == &m.staged[2][0] {
		t.Error("the file's own bytes are staged")
	}
	for _, stage := range []func() error{m.CheckText, func() error { return m.Commit(true) }, m.InstallText} {
		if err := stage(); err != nil {
			t.Fatal(err)
		}
	}
	if got := mapped(c); got != "r-- r-x r-- rw-" {
		t.Errorf("mapped %q", got)
	}
	mem := safemem.New(c.Base())
	if err := mem.Read(0x3800+m.Bias, b); err != nil || string(b) != "here" {
		t.Errorf("staged data: %q %v", b, err)
	}
	if err := mem.Store8(0x2000+m.Bias, 1); !errors.Is(err, safemem.ErrFault) {
		t.Errorf("writing RELRO: %v", err)
	}
}

func TestRefusedCode(t *testing.T) {
	c := newCage(t)
	tf := newTestFile()
	copy(tf.b[tf.at["text"]+16:], "\x0f\x05") // syscall
	f, err := tf.read()
	if err != nil {
		t.Fatal(err)
	}
	var l Loader
	_, err = l.Map(c, f, Anywhere)
	var te *TextError
	var ve *validator.Error
	if !errors.As(err, &te) || !errors.As(err, &ve) {
		t.Fatalf("error %v", err)
	}
	if s := err.Error(); !strings.Contains(s, "test.so: text+0x10: V-") || !strings.Contains(s, "[in alpha+0x10]") {
		t.Errorf("error %s", s)
	}
	if got := mapped(c); got != "" {
		t.Errorf("left behind: %q", got)
	}
	if n := c.MemoryInUse(); n != 0 {
		t.Errorf("%d bytes in use", n)
	}
}

// TestEntry: a program begins at the start of a bundle.
func TestEntry(t *testing.T) {
	tf := newTestFile()
	tf.u64("ehdr", 24, 0x1010)
	f, err := tf.read()
	if err != nil {
		t.Fatal(err)
	}
	var l Loader
	c := newCage(t)
	if _, err := l.Map(c, f, Anywhere); err == nil || err.Error() != "test.so: header: L-EHDR-ENTRY: entry point 0x1010 is no multiple of 32" {
		t.Errorf("error %v", err)
	}
	if got := mapped(c); got != "" {
		t.Errorf("left behind: %q", got)
	}
}

// TestThreadPointer: code that loads the thread pointer is adjusted to the
// engine's displacement, in memory alone, and nothing else is.
func TestThreadPointer(t *testing.T) {
	tf := newTestFile()
	load := []byte{0x64, 0x40, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0} // rex mov %fs:0x10,%eax
	copy(tf.b[tf.at["text"]:], load)
	f, err := tf.read()
	if err != nil {
		t.Fatal(err)
	}
	c := newCage(t)
	l := Loader{ThreadPointer: 0x110}
	m, err := l.Map(c, f, Anywhere)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(load))
	if err := safemem.New(c.Base()).Read(0x1000+m.Bias, got); err != nil {
		t.Fatal(err)
	}
	if want := append(load[:5:5], 0x10, 1, 0, 0); !bytes.Equal(got, want) {
		t.Errorf("code % x, want % x", got, want)
	}
	if !bytes.Equal(f.Segments[1].data[:len(load)], load) {
		t.Error("the file's own bytes were changed")
	}
	copy(tf.b[tf.at["text"]+5:], []byte{0x10, 1, 0, 0})
	if f, err = tf.read(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Map(newCage(t), f, Anywhere); err == nil {
		t.Error("a file that names the engine's own displacement was accepted")
	}
}

// TestTextIsShared: the second cage takes the first one's verdict and pages.
func TestTextIsShared(t *testing.T) {
	FlushTextCache()
	var l Loader
	f := goodFile(t)
	var inodes [2]string
	for i := range inodes {
		c := newCage(t)
		m, err := l.Map(c, f, Anywhere)
		if err != nil {
			t.Fatal(err)
		}
		inodes[i] = inodeAt(t, c.Base()+uintptr(m.Bias)+0x1000)
	}
	if inodes[0] == "" || inodes[0] != inodes[1] {
		t.Errorf("inodes %q", inodes)
	}
	texts.mu.Lock()
	n, users := texts.m.Len(), 0
	for c := range texts.m.All() {
		users += c.users
	}
	texts.mu.Unlock()
	if n != 1 || users != 0 {
		t.Errorf("%d texts in the cache, %d users", n, users)
	}
	FlushTextCache()
	if texts.m.Bytes() != 0 || texts.m.Len() != 0 {
		t.Errorf("after the flush: %d bytes, %d entries", texts.m.Bytes(), texts.m.Len())
	}
}

// inodeAt returns the inode that /proc/self/maps shows for an address.
func inodeAt(t *testing.T, addr uintptr) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(b)) {
		w := strings.Fields(line)
		lo, hi, _ := strings.Cut(w[0], "-")
		if parseHex(lo) <= uint64(addr) && uint64(addr) < parseHex(hi) {
			if w[1] != "r-xs" {
				t.Errorf("code is mapped %s", w[1])
			}
			return w[4]
		}
	}
	return ""
}

func parseHex(s string) (v uint64) {
	for _, c := range []byte(s) {
		v = v<<4 | uint64(strings.IndexByte("0123456789abcdef", c))
	}
	return v
}

// TestTextCacheLimit: the cache forgets the oldest texts, and what is mapped
// stays mapped.
func TestTextCacheLimit(t *testing.T) {
	FlushTextCache()
	defer FlushTextCache()
	var l Loader
	c := newCage(t)
	for i := range maxCachedTexts + 10 {
		tf := newTestFile()
		tf.b[tf.at["text"]] = 0x90
		tf.b[tf.at["text"]+1] = 0xb8 // mov $i,%eax
		tf.u32("text", 2, uint32(i))
		f, err := tf.read()
		if err != nil {
			t.Fatal(err)
		}
		m, err := l.Map(c, f, Anywhere)
		if err != nil {
			t.Fatal(err)
		}
		v, err := safemem.New(c.Base()).Load32(m.Bias + 0x1002)
		if err != nil || v != uint32(i) {
			t.Fatalf("code %d: %#x %v", i, v, err)
		}
	}
	if n := texts.m.Len(); n != maxCachedTexts {
		t.Errorf("%d texts in the cache", n)
	}
}

// TestUnload: the range of unloaded code is used again for the same file only.
func TestUnload(t *testing.T) {
	var l Loader
	c := newCage(t)
	f := goodFile(t)
	m, err := l.Map(c, f, Anywhere)
	if err != nil {
		t.Fatal(err)
	}
	place, err := m.Unload()
	if err != nil || place == nil {
		t.Fatal(place, err)
	}
	// Its one page of code is kept, to tell whether the same comes back.
	if n := c.MemoryInUse(); n != cage.PageSize {
		t.Errorf("%d bytes in use", n)
	}
	if err := safemem.New(c.Base()).Read(m.Bias+0x1000, make([]byte, 1)); !errors.Is(err, safemem.ErrFault) {
		t.Errorf("reading unloaded code: %v", err)
	}
	other := newTestFile()
	other.b[other.at["text"]] = 0x90
	g, err := other.read()
	if err != nil {
		t.Fatal(err)
	}
	if l.Stage(c, g).PlaceAgain(place) {
		t.Error("another file was given the place")
	}
	if m2, err := l.Map(c, g, Anywhere); err != nil || m2.Bias == m.Bias {
		t.Errorf("another file: %v", err)
	}
	if err := l.Stage(c, g).Place(m.Bias); err == nil {
		t.Error("another file was put there")
	}
	again := l.Stage(c, f)
	if !again.PlaceAgain(place) {
		t.Fatal("the same file was not given the place")
	}
	for _, stage := range []func() error{again.CheckText, func() error { return again.Commit(false) }, again.InstallText} {
		if err := stage(); err != nil {
			t.Fatal(err)
		}
	}
	if again.Bias != m.Bias {
		t.Errorf("bias %#x, was %#x", again.Bias, m.Bias)
	}
	// A failed load of it does not free the range either.
	place, err = again.Unload()
	if err != nil || place == nil {
		t.Fatal(err)
	}
	again = l.Stage(c, f)
	if !again.PlaceAgain(place) {
		t.Fatal("the same file was not given the place a second time")
	}
	if place, err = again.Discard(); err != nil || place == nil {
		t.Errorf("discarded: %v %v", place, err)
	}
	if err := c.ReserveAt(m.Bias+0x1000, PageSize); err == nil {
		t.Error("the range of the code is free")
	}
}

// TestNoRoom: limits of the cage are errors that leave nothing behind.
func TestNoRoom(t *testing.T) {
	c, err := cage.New(cage.Config{Trampolines: engine.Trampolines(), MaxMemory: 0x2000})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var l Loader
	if _, err := l.Map(c, goodFile(t), Anywhere); !errors.Is(err, cage.ErrLimit) {
		t.Errorf("error %v", err)
	}
	if got := mapped(c); got != "" {
		t.Errorf("left behind: %q", got)
	}
	tf := newTestFile()
	tf.u64("ph2", phMemSz, 0xfffd0000)
	tf.u64("ph6", phMemSz, 0)
	if f, err := tf.read(); err == nil {
		if _, err := l.Map(newCage(t), f, Anywhere); err == nil {
			t.Error("a file as large as the sandbox was loaded")
		}
	}
}

func TestVerify(t *testing.T) {
	tf := newTestFile()
	rep, err := Verify("test.so", bytes.NewReader(tf.b), int64(len(tf.b)), VerifyOptions{})
	if err != nil || !rep.OK() || rep.Err() != nil || len(rep.Code) != 1 || rep.HaliteABI != 1 {
		t.Fatalf("%+v %v", rep, err)
	}
	for i := range 20 {
		copy(tf.b[tf.at["text"]+2*i:], "\x0f\x05")
	}
	rep, err = Verify("test.so", bytes.NewReader(tf.b), int64(len(tf.b)), VerifyOptions{MaxErrors: 5})
	if err != nil || rep.OK() || rep.findings() != 5 || !rep.Code[0].Err.More {
		t.Fatalf("%+v %v", rep, err)
	}
	if s := rep.Err().Error(); strings.Count(s, "test.so: text+0x") != 5 || !strings.Contains(s, "more errors follow") {
		t.Errorf("%s", s)
	}
}

// TestAlignment: a file may ask for more than page alignment.
func TestAlignment(t *testing.T) {
	tf := newTestFile()
	tf.u64("ph2", phAlign, 1<<16)
	tf.u64("ph2", phAddr, 0x12000)
	tf.u32("ph3", 0, 0)
	tf.u32("ph4", 0, 0)
	tf.u32("ph5", 0, 0)
	tf.u32("ph6", 0, 0)
	f, err := tf.read()
	if err != nil {
		t.Fatal(err)
	}
	c := newCage(t)
	if _, err := c.Map(0, PageSize, cage.ProtRead, cage.Hint); err != nil {
		t.Fatal(err)
	}
	var l Loader
	m, err := l.Map(c, f, Anywhere)
	if err != nil {
		t.Fatal(err)
	}
	if m.Bias%(1<<16) != 0 {
		t.Errorf("bias %#x", m.Bias)
	}
	if _, err := l.Map(c, f, 0x123000); err == nil || !strings.Contains(err.Error(), "no multiple of the file's alignment") {
		t.Errorf("error %v", err)
	}
}
