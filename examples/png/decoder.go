package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"path/filepath"

	"github.com/halite-run/halite"
)

// A Decoder decodes PNG files with libpng, each in a sandbox that no other file has
// been in. Its methods are safe for use from several goroutines, each of which has a
// sandbox for itself.
type Decoder struct {
	template *halite.Template
	idle     chan *sandbox // they stand where the template does
}

// maxPixels bounds what a picture may take: 4 bytes each, once in the sandbox and once
// in Go.
const maxPixels = 16 << 20

type sandbox struct {
	lib    *halite.Library
	decode *halite.Func
}

// NewDecoder loads what build has put into dir. The caller must Close it.
func NewDecoder(ctx context.Context, dir string) (*Decoder, error) {
	lib, err := halite.Load(ctx, halite.Config{
		Program:   filepath.Join(dir, "decode.so"),
		Libraries: []string{dir},
		MaxMemory: 256 << 20,
	})
	if err != nil {
		return nil, err
	}
	t, err := lib.Template()
	if err != nil {
		lib.Close()
		return nil, err
	}
	return &Decoder{t, make(chan *sandbox, 16)}, nil
}

// Close must come after the last Decode.
func (d *Decoder) Close() error {
	close(d.idle)
	for s := range d.idle {
		s.lib.Close()
	}
	return d.template.Close()
}

func (d *Decoder) take() (*sandbox, error) {
	select {
	case s := <-d.idle:
		return s, nil
	default:
	}
	lib, err := d.template.New()
	if err != nil {
		return nil, err
	}
	f, err := lib.Func("decode")
	if err != nil {
		lib.Close()
		return nil, err
	}
	return &sandbox{lib, f}, nil
}

// put makes a sandbox as new, whatever has happened in it.
func (d *Decoder) put(s *sandbox) {
	if s.lib.Reset() != nil {
		return // and closed
	}
	select {
	case d.idle <- s:
	default:
		s.lib.Close()
	}
}

// Decode decodes one file, until ctx ends. What comes out is as trustworthy as the file
// was, but it is a picture.
func (d *Decoder) Decode(ctx context.Context, file []byte) (*image.NRGBA, error) {
	s, err := d.take()
	if err != nil {
		return nil, err
	}
	defer d.put(s)
	var out [12 + 64]byte // struct result
	r, err := s.decode.Call(ctx, halite.Bytes(file), halite.Int(len(file)), halite.Int(maxPixels), halite.Out(out[:]))
	if err != nil {
		return nil, err
	}
	if r.Int32() != 0 {
		message, _, _ := bytes.Cut(out[12:], []byte{0})
		return nil, fmt.Errorf("libpng: %q", message)
	}
	w, h, pixels := binary.LittleEndian.Uint32(out[0:]), binary.LittleEndian.Uint32(out[4:]), binary.LittleEndian.Uint32(out[8:])
	if w == 0 || h == 0 || w > maxPixels || h > maxPixels/w {
		return nil, errors.New("libpng says of the picture what can't be")
	}
	m := image.NewNRGBA(image.Rect(0, 0, int(w), int(h)))
	if err := s.lib.Memory().Read(pixels, m.Pix); err != nil {
		return nil, err
	}
	return m, nil
}
