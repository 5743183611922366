package libcshim

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/halite-run/halite/imc"
)

func objectsGuest(t testing.TB) string { return build(t, "testdata/imc/objects.c", "-lnacl") }

// BenchmarkIMCCall: calls of a guest, on an object of the host and on one of another guest.
func BenchmarkIMCCall(b *testing.B) {
	prog := objectsGuest(b)
	calls := func(b *testing.B, object imc.Desc) {
		const rounds = 100_000
		n := 0
		for b.Loop() {
			r := imcScene(b, prog, "bench", map[int]imc.Desc{11: object})
			r.cfg.Args = append(r.cfg.Args, strconv.Itoa(rounds))
			r.run(b, context.Background())
			r.wantOK(b)
			n += rounds
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/call")
	}
	b.Run("host", func(b *testing.B) {
		acc, object := imc.NewEndpoints()
		served := make(chan error, 1)
		go func() {
			served <- imc.Serve(context.Background(), acc, func(_ context.Context, data []byte, _ []imc.Desc) ([]byte, []imc.Desc, error) {
				return data, nil, nil
			})
		}()
		calls(b, object)
		check(b, object.Close())
		check(b, <-served)
		check(b, acc.Close())
	})
	b.Run("guest", func(b *testing.B) {
		acc, object := imc.NewEndpoints()
		server := imcScene(b, prog, "serve", map[int]imc.Desc{10: acc})
		done := make(chan bool)
		go func() { defer close(done); server.run(b, within(b, time.Hour)) }()
		calls(b, object)
		check(b, object.Close())
		<-done
		server.wantOK(b)
		check(b, acc.Close())
	})
}
