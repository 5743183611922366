package imc

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func sample() []outgoing {
	return []outgoing{
		{kind: KindInvalid},
		{kind: KindFile, flags: unix.O_WRONLY, value: unix.O_WRONLY | unix.O_APPEND, meta: &Metadata{-7, []byte("note")}},
		{kind: KindSharedMemory, flags: unix.O_RDWR, value: 3 * MapGranule},
		{kind: KindConnectEndpoint, flags: unix.O_RDWR, meta: &Metadata{Type: 1}},
		{kind: KindDataSocket, flags: unix.O_RDWR},
	}
}

// The packets are those that docs/imc.md describes, byte by byte.
func TestPacketBytes(t *testing.T) {
	if got := appendHeader(nil, nil); !bytes.Equal(got, []byte("\x01\xde\xc0\xd3\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")) {
		t.Errorf("%q", got)
	}
	want := "\x01\xde\xc0\xd3\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00" +
		"\x02\x01\x00\x01\x00\xf9\xff\xff\xff\x04\x00\x00\x00note\x01\x04\x00\x00" +
		"\x07\x02\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00" +
		"\x04\x02\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00" +
		"\x0d\x02\x00\x00\x00" +
		"\xff" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	got := appendHeader(nil, sample())
	if string(got) != want {
		t.Errorf("\n%q, want\n%q", got, want)
	}
	if len(got)%16 != 0 {
		t.Error(len(got))
	}
	if got := control(controlRefused); !bytes.Equal(got, []byte("\x02\xde\xc0\xd3\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")) {
		t.Errorf("%q", got)
	}
}

func TestDecode(t *testing.T) {
	b := append(appendHeader(nil, sample()), "data"...)
	p, err := decode(b, []int{10, 11, 12, 13}, false)
	must(t, err)
	if string(p.data) != "data" || len(p.descs) != 5 {
		t.Fatal(p)
	}
	for i, o := range sample() {
		d := p.descs[i]
		if d.kind != o.kind || d.value != o.value || (d.meta == nil) != (o.meta == nil) {
			t.Errorf("%d: %+v", i, d)
		}
		if o.meta != nil && (d.meta.Type != o.meta.Type || !bytes.Equal(d.meta.Data, o.meta.Data)) {
			t.Errorf("%d: %+v", i, d.meta)
		}
		if want := 9 + i; o.kind != KindInvalid && d.fd != want {
			t.Errorf("%d: descriptor %d", i, d.fd)
		}
	}
	if _, err = decode(b, []int{10, 11}, true); err != nil {
		t.Error("descriptors that the kernel lost:", err)
	}
	edit := func(f func(b []byte) []byte) []byte { return f(append([]byte(nil), b...)) }
	for name, c := range map[string]struct {
		b   []byte
		fds []int
	}{
		"too few descriptors":    {b, []int{10, 11, 12}},
		"too many":               {b, []int{10, 11, 12, 13, 14}},
		"none described":         {append([]byte(nil), plain...), []int{10}},
		"empty":                  {nil, nil},
		"short":                  {b[:15], nil},
		"another word":           {edit(func(b []byte) []byte { b[0]++; return b }), []int{10, 11, 12, 13}},
		"area beyond the packet": {edit(func(b []byte) []byte { le.PutUint32(b[4:], 0x1000); return b }), []int{10, 11, 12, 13}},
		"area near 4 GiB":        {edit(func(b []byte) []byte { le.PutUint32(b[4:], 0xfffffff0); return b }), []int{10, 11, 12, 13}},
		"area cut":               {edit(func(b []byte) []byte { le.PutUint32(b[4:], 16); return b }), []int{10, 11, 12, 13}},
		"area unaligned":         {edit(func(b []byte) []byte { le.PutUint32(b[4:], 17); return b }), nil},
		"unknown tag":            {edit(func(b []byte) []byte { b[17] = 9; return b }), []int{10, 11, 12, 13}},
		"a kind not sent":        {edit(func(b []byte) []byte { b[17] = byte(KindConnectedSocket); return b }), []int{10, 11, 12, 13}},
		"unknown flags":          {edit(func(b []byte) []byte { b[21] = 0x80; return b }), []int{10, 11, 12, 13}},
		"metadata too long":      {edit(func(b []byte) []byte { le.PutUint32(b[26:], MaxMetadata+1); return b }), []int{10, 11, 12, 13}},
		"metadata near 4 GiB":    {edit(func(b []byte) []byte { le.PutUint32(b[26:], 0xffffffff); return b }), []int{10, 11, 12, 13}},
		"nine":                   {append(append(le.AppendUint32(le.AppendUint32(nil, wordMessage), 16), make([]byte, 8)...), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0), nil},
		"no end":                 {append(append(le.AppendUint32(le.AppendUint32(nil, wordMessage), 16), make([]byte, 8)...), 7, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), []int{10}},
		"too much data":          {append(append([]byte(nil), plain...), make([]byte, MaxData+1)...), nil},
	} {
		if p, err := decode(c.b, c.fds, false); !isMalformed(err) {
			t.Errorf("%s: %v, %+v", name, err, p)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(append(appendHeader(nil, sample()), "data"...), 4, false)
	f.Add(plain, 0, false)
	f.Add(appendHeader(nil, []outgoing{{kind: KindInvalid}, {kind: KindInvalid}}), 0, true)
	f.Fuzz(func(t *testing.T, b []byte, n int, lost bool) {
		if n < 0 || n > 9 {
			return
		}
		fds := make([]int, n)
		for i := range fds {
			fds[i] = 100 + i
		}
		p, err := decode(b, fds, lost)
		if err != nil {
			if !isMalformed(err) {
				t.Fatal(err)
			}
			return
		}
		// Every descriptor is in exactly one place.
		used := 0
		var list []outgoing
		for _, d := range p.descs {
			if d.fd >= 0 {
				if d.fd != 100+used || d.kind == KindInvalid {
					t.Fatal("descriptors in disorder")
				}
				used++
			} else if d.kind != KindInvalid && !lost {
				t.Fatal("a descriptor without one")
			}
			list = append(list, outgoing{kind: d.kind, flags: d.flags &^ baseMetadata, meta: d.meta, value: d.value})
		}
		if used != n || len(p.descs) > MaxDescs || len(p.data) > MaxData {
			t.Fatal(used, n)
		}
		// What was decoded can be encoded, and means the same.
		again, err := decode(append(appendHeader(nil, list), p.data...), fds, lost)
		if err != nil || !bytes.Equal(again.data, p.data) || len(again.descs) != len(p.descs) {
			t.Fatal(err)
		}
	})
}

// hostile sends raw packets into one end of a connected socket.
func hostile(t *testing.T) (raw *kfd, s *ConnectedSocket) {
	a, b, err := socketPair("test", KindConnectedSocket)
	must(t, err)
	return newKfd(a), newKernelSocket(newKfd(b), KindConnectedSocket).(*ConnectedSocket)
}

// A peer that sends nonsense harms nobody, and what it sent is closed.
//
// Attack: descriptors that were passed on.
func TestHostilePackets(t *testing.T) {
	before := descriptorsOf(t)
	raw, s := hostile(t)
	ctx := within(t)
	var p [2]int
	must(t, unix.Pipe(p[:]))
	dir, err := unix.Open(t.TempDir(), unix.O_RDONLY, 0)
	must(t, err)
	path, err := unix.Open("/", unix.O_PATH, 0)
	must(t, err)
	loose, err := unix.MemfdCreate("x", 0)
	must(t, err)
	must(t, unix.Ftruncate(loose, MapGranule))
	send := func(b []byte, fds ...int) {
		t.Helper()
		var oob []byte
		if len(fds) > 0 {
			oob = unix.UnixRights(fds...)
		}
		must(t, unix.Sendmsg(raw.fd, b, oob, nil, 0))
	}
	desc := func(k Kind, value int64) []byte {
		return appendHeader(nil, []outgoing{{kind: k, flags: 2, value: value}})
	}
	for name, f := range map[string]func(){
		"nonsense":                  func() { send([]byte("nonsense"), p[0], p[1]) },
		"an unknown word":           func() { send(make([]byte, 16), p[0]) },
		"a pipe for an endpoint":    func() { send(desc(KindConnectEndpoint, 0), p[0]) },
		"a pipe for a data socket":  func() { send(desc(KindDataSocket, 0), p[0]) },
		"a pipe for memory":         func() { send(desc(KindSharedMemory, MapGranule), p[0]) },
		"memory that is not sealed": func() { send(desc(KindSharedMemory, MapGranule), loose) },
		"a directory for a file":    func() { send(desc(KindFile, 0), dir) },
		"a path for a file":         func() { send(desc(KindFile, 0), path) },
		"many descriptors":          func() { send(plain, p[0], p[1], dir, path, loose, p[0], p[1], dir, path, loose) },
		"more than it says":         func() { send(desc(KindFile, 0), p[0], p[1]) },
	} {
		f()
		if _, err := s.Receive(ctx); NaClErrno(err) != unix.EIO && NaClErrno(err) != unix.EMFILE {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Empty packets and late answers are passed over.
	send(nil)
	send(control(controlAccepted))
	send(append(append([]byte(nil), plain...), "good"...))
	m, err := s.Receive(ctx)
	must(t, err)
	if string(m.Data) != "good" {
		t.Error(m)
	}

	// The same at an accepting end, which all who can connect share.
	server, client, err := socketPair("test", KindAcceptEndpoint)
	must(t, err)
	acc, err := newKernelAccept(newKfd(server))
	must(t, err)
	raw.release()
	raw = newKfd(client)
	x, y, err := socketPair("test", KindConnectedSocket)
	must(t, err)
	send(nil)
	send([]byte("c"))
	send([]byte("c"), p[0])
	send([]byte("c"), x, y)
	send([]byte("cab"), x)
	send([]byte("ca"), dir)
	send(nil, x)
	send([]byte("c"), x)
	got, err := acc.Accept(ctx)
	must(t, err)
	_, err = acc.TryAccept()
	want(t, err, unix.EAGAIN)
	must(t, got.Close())
	must(t, acc.Close())
	raw.release()
	must(t, s.Close())
	closeAll([]int{p[0], p[1], dir, path, loose, x, y})
	if after := descriptorsOf(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// A data socket carries no descriptors, whatever another process sends through it.
func TestHostileDataSocket(t *testing.T) {
	before := descriptorsOf(t)
	x, y, err := socketPair("test", KindDataSocket)
	must(t, err)
	s := newKernelSocket(newKfd(y), KindDataSocket)
	p, err := unix.MemfdCreate("x", 0)
	must(t, err)
	file := appendHeader(nil, []outgoing{{kind: KindFile, flags: unix.O_RDWR, value: unix.O_RDWR}})
	must(t, unix.Sendmsg(x, append(file, "data"...), unix.UnixRights(p), nil, 0))
	must(t, unix.Sendmsg(x, append(appendHeader(nil, []outgoing{{kind: KindInvalid}}), "data"...), nil, nil, 0))
	must(t, unix.Sendmsg(x, append(append([]byte(nil), plain...), "data"...), unix.UnixRights(p, p), nil, 0))
	must(t, unix.Sendmsg(x, append(append([]byte(nil), plain...), "good"...), nil, nil, 0))
	ctx := within(t)
	for range 3 {
		m, err := s.Receive(ctx)
		want(t, err, unix.EIO)
		if m.Data != nil || m.Descs != nil {
			t.Errorf("%q and %d descriptors", m.Data, len(m.Descs))
		}
	}
	n, descs, err := s.ReceiveInto(ctx, make([]byte, 100))
	must(t, err)
	if n != 4 || descs != nil {
		t.Errorf("%d bytes and %d descriptors", n, len(descs))
	}
	must(t, s.Close())
	closeAll([]int{x, p})
	if after := descriptorsOf(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// Shared memory has the sizes that NaCl's test imc_shm_mmap names.
func TestSharedMemorySizes(t *testing.T) {
	for _, size := range []int64{0x10000, 0x20000, 0x30000, 0x100000} {
		m, err := NewSharedMemory(size)
		must(t, err)
		x, err := m.Map()
		must(t, err)
		y, err := m.Map()
		must(t, err)
		must(t, m.Close())
		for i := range x.Bytes {
			if x.Bytes[i] != 0 {
				t.Fatal("not zero")
			}
			x.Bytes[i] = byte(i * 7)
			if y.Bytes[i] != byte(i*7) {
				t.Fatal("not coherent")
			}
		}
		must(t, x.Unmap())
		must(t, y.Unmap())
		if x.Unmap() == nil {
			t.Error("unmapped twice")
		}
	}
	for size, errno := range map[int64]error{4096: unix.EINVAL, 1: unix.EINVAL, -MapGranule: unix.EINVAL, 0: unix.ENOMEM, 1 << 31: unix.ENOMEM} {
		_, err := NewSharedMemory(size)
		want(t, err, errno)
	}
}

// Sending to a closed peer raises no signal, whatever is sent and whichever kind it is.
// (Linux has none for this type of socket, MSG_NOSIGNAL or not; it has for streams.)
func TestNoSIGPIPE(t *testing.T) {
	// Go ignores the signal unless somebody asks for it.
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, unix.SIGPIPE)
	defer signal.Stop(signals)
	ctx := within(t)
	for _, w := range ways {
		a, b := w.data(t)
		must(t, b.Close())
		want(t, a.Send(ctx, []byte("x")), unix.EPIPE)
		want(t, a.TrySend(nil), unix.EPIPE)
		must(t, a.Close())
		x, y := w.connected(t)
		must(t, y.Close())
		want(t, x.Send(ctx, []byte("x"), Invalid), unix.EPIPE)
		must(t, x.Close())
		acc, c := w.endpoints(t)
		given, err := c.TryConnect()
		must(t, err)
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		_, err = c.Connect(short)
		want(t, err, context.DeadlineExceeded)
		cancel()
		must(t, given.Close())
		// Answers to those who are not there any more.
		for {
			s, err := acc.TryAccept()
			if err != nil {
				break
			}
			must(t, s.Close())
		}
		must(t, acc.Close())
		_, err = c.TryConnect()
		want(t, err, unix.ECONNREFUSED)
		_, err = c.Connect(ctx)
		want(t, err, unix.ECONNREFUSED)
		_, _, err = Call(ctx, c, []byte("x"))
		want(t, err, unix.ECONNREFUSED)
		must(t, c.Close())
	}
	select {
	case <-signals:
		t.Error("a signal came")
	case <-time.After(20 * time.Millisecond):
	}
}
