package cage

import "testing"

// FuzzCage drives a cage with calls as a guest could make them, sensible and
// not, and compares the map with the kernel's after each.
func FuzzCage(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 1, 1, 1, 1, 2, 0, 2, 2, 3, 4, 5, 6})
	f.Add([]byte("map, unmap, protect, move, and once more"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c := newCage(t, Config{MaxMemory: 1 << 30, MaxMappings: 64})
		defer c.Close()
		text := newText(t, 0x40008000, 2, 0x90)
		if err := c.MapText(0x40008000, text); err != nil {
			t.Fatal(err)
		}
		byteOf := func() byte {
			if len(in) == 0 {
				return 0
			}
			b := in[0]
			in = in[1:]
			return b
		}
		offset := func() uint32 {
			switch b := byteOf(); {
			case b < 200:
				return 0x40000000 + uint32(b%24)*PageSize
			case b < 220:
				return uint32(b-200) * PageSize
			case b < 240:
				return 0xfffff000 - uint32(b-220)*PageSize
			default:
				return uint32(byteOf())<<24 | uint32(byteOf())<<8 | uint32(b)
			}
		}
		length := func() uint64 {
			switch b := byteOf(); {
			case b < 220:
				return uint64(b%12) * PageSize
			case b < 240:
				return uint64(b)<<24 + 1
			default:
				return ^uint64(0) - uint64(b)
			}
		}
		for n := 0; len(in) > 0 && n < 40; n++ {
			op, arg := byteOf(), byteOf()
			switch op % 8 {
			case 0, 1:
				c.Map(offset(), length(), Prot(arg%8), MapMode(arg/8%4))
			case 2:
				c.Unmap(offset(), length())
			case 3:
				c.Protect(offset(), length(), Prot(arg%8))
			case 4:
				c.Remap(offset(), length(), length(), arg%2 == 0)
			case 5:
				c.Discard(offset(), length())
			case 6:
				c.Reserve(length(), 1<<(arg%40))
			case 7:
				c.ReserveAt(offset(), length())
			}
			c.check(t)
			if *c.byteAt(0x40008000) != 0x90 {
				t.Fatal("the text has changed")
			}
		}
	})
}

// TestGap checks the search against trying every page.
func TestGap(t *testing.T) {
	var s intervals
	const lo, hi = 0x20000, 0x60000
	for _, r := range [][2]uint64{{0x20000, 0x22000}, {0x28000, 0x30000}, {0x5f000, 0x60000}, {0x40000, 0x41000}} {
		s.insert(interval{start: r[0], end: r[1], kind: KindFile})
	}
	for n := uint64(PageSize); n < 0x30000; n += PageSize {
		for align := uint64(PageSize); align <= 0x10000; align *= 2 {
			want, found := uint64(0), false
			for at := (hi - n) &^ (align - 1); at >= lo; at -= align {
				if s.free(at, at+n) {
					want, found = at, true
					break
				}
			}
			if got, ok := s.gap(lo, hi, n, align); ok != found || got != want {
				t.Fatalf("gap(0x%x, 0x%x) = 0x%x %v, want 0x%x %v", n, align, got, ok, want, found)
			}
		}
	}
}
