package namespace_test

import (
	"fmt"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
)

// A tree that shows some files of an fs.FS, read-only, and has room for new ones.
func Example() {
	me := namespace.Identity{UID: 1000, GID: 1000}
	ns := namespace.New()
	defer ns.Close()
	data := fstest.MapFS{"greeting": {Data: []byte("hello")}}
	for path, tree := range map[string]namespace.FS{
		"/data": namespace.FromFS(data, me),
		"/tmp":  namespace.NewMemory(namespace.MemoryConfig{Identity: me, MaxBytes: 1 << 20}),
	} {
		if err := ns.Mount(path, tree, namespace.MountOptions{}); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := ns.Symlink("/data/greeting", "/tmp", "link"); err != nil {
		fmt.Println(err)
	}
	f, name, err := ns.Open("/tmp", "link", unix.O_RDONLY, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	var buf [16]byte
	n, _ := f.Read(buf[:])
	fmt.Printf("%s: %s\n", name, buf[:n])
	_, _, err = ns.Open("/", "/tmp/../../etc/passwd", unix.O_RDONLY, 0)
	fmt.Println(err)
	// Output:
	// /data/greeting: hello
	// no such file or directory
}
