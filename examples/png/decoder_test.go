package main

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halite-run/halite/toolchain"
)

func newDecoder(t testing.TB) *Decoder {
	if _, err := toolchain.Sysroot(); errors.Is(err, toolchain.ErrNoSysroot) {
		t.Skip("no sysroot for this state of the toolchain; make sysroot builds it")
	}
	dir := t.TempDir()
	cmd := exec.Command("./build", dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// picture is a file and what is in it.
func picture(t testing.TB, w, h int) ([]byte, *image.NRGBA) {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x * 7), uint8(y * 3), uint8(x ^ y), uint8(255 - x)})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), m
}

func TestDecode(t *testing.T) {
	d := newDecoder(t)
	t.Run("pictures", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for _, size := range []int{1, 16, 100, 700} {
					file, want := picture(t, size, size+3)
					got, err := d.Decode(t.Context(), file)
					if err != nil {
						t.Error(size, err)
					} else if got.Rect != want.Rect || !bytes.Equal(got.Pix, want.Pix) {
						t.Errorf("%d: another picture", size)
					}
				}
			})
		}
		wg.Wait()
	})
	t.Run("damaged", func(t *testing.T) {
		file, _ := picture(t, 64, 64)
		r := rand.New(rand.NewPCG(1, 2))
		failed := 0
		for range 300 {
			bad := bytes.Clone(file)
			for range 1 + r.IntN(4) {
				bad[r.IntN(len(bad))] = byte(r.Uint32())
			}
			if m, err := d.Decode(t.Context(), bad[:r.IntN(len(bad))+1]); err != nil {
				failed++
			} else if m.Rect.Empty() {
				t.Error("an empty picture")
			}
		}
		if failed < 250 {
			t.Errorf("%d of 300 damaged files were refused", failed)
		}
	})
	t.Run("huge", func(t *testing.T) {
		file, _ := picture(t, 8, 8)
		// IHDR with another size, and its check sum.
		header := file[12:29]
		copy(header[4:], []byte{0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff})
		sum := crc32.ChecksumIEEE(header)
		copy(file[29:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
		if _, err := d.Decode(t.Context(), file); err == nil || !strings.Contains(err.Error(), "too many") {
			t.Error(err)
		}
	})
	t.Run("late", func(t *testing.T) {
		file, _ := picture(t, 3000, 3000)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := d.Decode(ctx, file); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		small, _ := picture(t, 8, 8)
		if _, err := d.Decode(t.Context(), small); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkDecode is a picture of 700 by 700 pixels, in a sandbox of its own and by Go.
func BenchmarkDecode(b *testing.B) {
	file, _ := picture(b, 700, 700)
	b.Run("halite", func(b *testing.B) {
		d := newDecoder(b)
		for b.Loop() {
			if _, err := d.Decode(b.Context(), file); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Go", func(b *testing.B) {
		for b.Loop() {
			if _, err := png.Decode(bytes.NewReader(file)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
