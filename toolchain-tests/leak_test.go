package toolchaintests

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/loader"
)

// held is what this process holds of the things that a run could leave behind.
type held struct {
	maps, files, goroutines, threads int
	heap                             uint64
}

// settled counts once goroutines that are on their way out have gone; it waits for
// that until there are no more than wanted, but not for ever.
func settled(t *testing.T, wanted int, patience time.Duration) held {
	t.Helper()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > wanted && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	runtime.GC() // closes what only finalizers would
	runtime.GC()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	loader.FlushFiles()
	ld.FlushLinks() // what is kept for the next time is no leak
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return held{bytes.Count(maps, []byte("\n")), len(files), runtime.NumGoroutine(), len(threads), mem.HeapAlloc}
}

// TestLeaks runs programs ten thousand times in this process, among them ones with
// threads, with dlopen, ones that fault, are refused and are cancelled in a loop,
// and wants no mapping, descriptor, goroutine or memory of them to stay.
func TestLeaks(t *testing.T) {
	runs := 10000
	if testing.Short() {
		runs = 500
	}
	d := newDriverTest(t, map[string]string{
		"hello.c":  helloC,
		"fault.c":  "int main(void) { *(volatile int *)4 = 1; return 0; }\n",
		"native.c": "int n; void _start(void) { for (volatile int *p = &n; ; p++) *p = 1; }\n",
		"spin.c":   "int main(void) { for (;;) ; }\n",
		"lib.c":    "__thread int n = 4; int lib(void) { return ++n; }\n",
		"busy.c": `#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
static void *run(void *a)
{
	int (*lib)(void) = (int (*)(void))dlsym(a, "lib");
	return (void *)(long)lib();
}
static void *forever(void *a) { for (;;) ; }
int main(void)
{
	void *h = dlopen("liblib.so", RTLD_NOW), *r;
	if (!h) {
		puts(dlerror());
		return 1;
	}
	pthread_t t[3];
	long n = 0;
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], 0, run, h);
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &r);
		n += (long)r;
	}
	FILE *f = fopen("/tmp/x", "w");
	fprintf(f, "%ld", n);
	char *p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p[5000] = malloc(100000) != 0;
	/* a thread that still runs and a file that is still open at the end */
	pthread_create(t, 0, forever, 0);
	return n == 15 ? 0 : 2;
}
`})
	d.do("cc", "-O2", "hello.c", "-o", "hello")
	d.do("cc", "-O2", "-static", "hello.c", "-o", "hello-static")
	d.do("cc", "-O2", "fault.c", "-o", "fault")
	d.do("cc", "-O2", "-static", "spin.c", "-o", "spin")
	d.do("cc", "-O2", "-shared", "-fPIC", "lib.c", "-o", "liblib.so")
	d.do("cc", "-O2", "busy.c", "-Wl,-rpath,$ORIGIN", "-o", "busy")
	if r := command(t, d.dir, nil, "", "gcc", "-O2", "-nostdlib", "-static", "native.c", "-o", "native"); r.status != 0 {
		t.Fatal(r.stderr)
	}
	libraries := filepath.Dir(strings.TrimSpace(d.do("cc", "-print-file-name=libc.so").stdout))
	start := func(ctx context.Context, name string) (halite.ExitStatus, string, error) {
		var out bytes.Buffer
		status, err := halite.Run(ctx, halite.Config{
			Program: filepath.Join(d.dir, name), Stdout: &out, Stderr: &out,
			Libraries: []string{libraries},
			Mounts:    []halite.Mount{{Guest: "/app", Host: d.dir, ReadOnly: true}, {Guest: "/tmp"}},
		})
		return status, out.String(), err
	}
	one := func(i int) {
		t.Helper()
		ctx := context.Background()
		switch {
		case i%50 == 7:
			status, out, err := start(ctx, "busy")
			if err != nil || status.Status() != 0 {
				t.Fatalf("run %d, busy: %v, %v, %s", i, status, err, out)
			}
		case i%50 == 17:
			var fault *halite.FaultError
			if _, out, err := start(ctx, "fault"); !errors.As(err, &fault) {
				t.Fatalf("run %d, fault: %v, %s", i, err, out)
			}
		case i%100 == 27:
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			_, out, err := start(ctx, "spin")
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("run %d, spin: %v, %s", i, err, out)
			}
		case i%50 == 37:
			if _, _, err := start(ctx, "native"); err == nil || !strings.Contains(err.Error(), "V-") {
				t.Fatalf("run %d, native program: %v", i, err)
			}
		case i%50 == 47:
			if _, _, err := start(ctx, "absent"); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("run %d, absent: %v", i, err)
			}
		case i%5 == 3:
			status, out, err := start(ctx, "hello")
			if err != nil || status.Status() != 0 || out != "hi\n" {
				t.Fatalf("run %d, hello: %v, %v, %q", i, status, err, out)
			}
		default:
			status, out, err := start(ctx, "hello-static")
			if err != nil || status.Status() != 0 || out != "hi\n" {
				t.Fatalf("run %d, hello-static: %v, %v, %q", i, status, err, out)
			}
		}
	}
	for i := range 200 {
		one(i)
	}
	before := settled(t, 0, time.Second)
	begin := time.Now()
	for i := range runs {
		one(i)
	}
	took := time.Since(begin)
	after := settled(t, before.goroutines, 10*time.Second)
	t.Logf("%d runs in %v; before %+v, after %+v", runs, took, before, after)
	if after.goroutines > before.goroutines {
		stacks := make([]byte, 1<<16)
		t.Errorf("goroutines: %d, before %d\n%s", after.goroutines, before.goroutines, stacks[:runtime.Stack(stacks, true)])
	}
	if after.files > before.files {
		t.Errorf("open files: %d, before %d", after.files, before.files)
	}
	// The Go runtime itself may map a few arenas more and keep a few threads more.
	if after.maps > before.maps+40 {
		t.Errorf("maps: %d, before %d", after.maps, before.maps)
	}
	if after.threads > before.threads+20 {
		t.Errorf("threads: %d, before %d", after.threads, before.threads)
	}
	if after.heap > before.heap+16<<20 {
		t.Errorf("heap: %d bytes, before %d", after.heap, before.heap)
	}
}
