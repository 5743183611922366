package libcshim

import (
	"bytes"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestNetwork compares sockets with this machine's kernel.
func TestNetwork(t *testing.T) {
	const source = "testdata/net/sockets.c"
	native := buildNative(t, source)
	var want bytes.Buffer
	cmd := exec.Command(native)
	cmd.Stdout, cmd.Stderr = &want, &want
	if err := cmd.Run(); err != nil {
		t.Fatalf("natively: %v\n%s", err, want.String())
	}
	r := &guestRun{cfg: Config{Namespace: newTree(t, build(t, source), ""), Program: "/bin/prog", Network: Loopback}}
	r.run(t, within(t, 60*time.Second))
	if got := r.stdout.String(); got != want.String() {
		t.Errorf("%s\n%v %v\n%s", differences(got, want.String()), r.status, r.err, r.stderr.String())
	}
}

// TestNetworkRefused: without a policy there are no sockets, and a policy is
// asked about every address, also those that nobody named.
func TestNetworkRefused(t *testing.T) {
	program := build(t, "testdata/net/sockets.c")
	r := &guestRun{cfg: Config{Namespace: newTree(t, program, ""), Program: "/bin/prog"}}
	r.run(t, within(t, time.Second)) // what then waits in vain is stopped
	if out := r.stdout.String(); !strings.Contains(out, "bind(fd, (void *)&s, l) = -1 Bad file descriptor") {
		t.Error(out)
	}
	var mu sync.Mutex
	asked := map[string]bool{}
	refuse := func(op string) NetworkPolicy {
		return func(u NetworkUse) bool {
			mu.Lock()
			asked[u.Op+" "+u.Network] = true
			mu.Unlock()
			return u.Op != op && Loopback(u)
		}
	}
	for op, want := range map[string]string{
		"bind": "listen(fd, 5) = -1 Permission denied", "send": "sendto(c, \"datagram\", 8, 0, (void *)&s, l) = -1 Permission denied",
	} {
		r := &guestRun{cfg: Config{Namespace: newTree(t, program, ""), Program: "/bin/prog", Network: refuse(op)}}
		r.run(t, within(t, 2*time.Second))
		if !strings.Contains(r.stdout.String(), want) {
			t.Errorf("%s: %s", op, r.stdout.String())
		}
	}
	for _, use := range []string{"bind tcp", "connect tcp", "accept tcp"} {
		if !asked[use] {
			t.Errorf("the policy was not asked about %s: %v", use, asked)
		}
	}
}

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "127.5.5.5": true, "::1": true, "0.0.0.0": false, "::": false, "10.0.0.1": false, "8.8.8.8": false,
		"fe80::1": false, "169.254.169.254": false,
	} {
		if got := Loopback(NetworkUse{Address: netip.AddrPortFrom(netip.MustParseAddr(addr), 1)}); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}
