package lru

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Random operations beside a list that is searched from its front.
func TestMap(t *testing.T) {
	type item struct {
		key, value int
		size       uint64
	}
	const maxLen, maxBytes = 5, 20
	rnd := rand.New(rand.NewPCG(1, 2))
	var dropped, wantDropped []int
	m := New[int](maxLen, maxBytes, func(v int) { dropped = append(dropped, v) })
	var model []item
	find := func(key int) int { return slices.IndexFunc(model, func(x item) bool { return x.key == key }) }
	for n := range 20000 {
		key := rnd.IntN(10)
		switch i, op := find(key), rnd.IntN(20); {
		case op == 0:
			m.Flush()
			for _, x := range slices.Backward(model) {
				wantDropped = append(wantDropped, x.value)
			}
			model = nil
		case op < 10:
			v, ok := m.Get(key)
			if ok != (i >= 0) || ok && v != model[i].value {
				t.Fatalf("%d: %v, %v", key, v, ok)
			}
			if ok {
				x := model[i]
				model = slices.Insert(slices.Delete(model, i, i+1), 0, x)
			}
		default:
			x := item{key, n, rnd.Uint64N(maxBytes + 3)}
			m.Put(key, x.value, x.size)
			if i >= 0 {
				wantDropped = append(wantDropped, model[i].value)
				model = slices.Delete(model, i, i+1)
			}
			model = slices.Insert(model, 0, x)
			for sum(model, func(x item) uint64 { return x.size }) > maxBytes || len(model) > maxLen {
				last := len(model) - 1
				wantDropped = append(wantDropped, model[last].value)
				model = model[:last]
			}
		}
		if m.Len() != len(model) || m.Bytes() != sum(model, func(x item) uint64 { return x.size }) || !slices.Equal(dropped, wantDropped) {
			t.Fatalf("%d values, %d bytes, %v given up; want %v, %v given up", m.Len(), m.Bytes(), dropped, model, wantDropped)
		}
		var want []int
		for _, x := range model {
			want = append(want, x.value)
		}
		if got := slices.Collect(m.All()); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		dropped, wantDropped = nil, nil
	}
}

func sum[T any](list []T, size func(T) uint64) (n uint64) {
	for _, x := range list {
		n += size(x)
	}
	return n
}
