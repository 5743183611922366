// Command png decodes PNG files with libpng, C code that nobody needs to trust: each file
// gets a sandbox of its own, a copy of one that has libpng loaded, and a second of time.
//
//	examples/png/run FILE.png...
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	lib := flag.String("lib", "", "the `directory` that build has made")
	flag.Parse()
	d, err := NewDecoder(context.Background(), *lib)
	if err != nil {
		fmt.Fprintln(os.Stderr, "png:", err)
		os.Exit(1)
	}
	defer d.Close()
	for _, name := range flag.Args() {
		if err := show(d, name); err != nil {
			fmt.Fprintf(os.Stderr, "png: %s: %v\n", name, err)
		}
	}
}

func show(d *Decoder, name string) error {
	file, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	begin := time.Now()
	m, err := d.Decode(ctx, file)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d by %d pixels in %v\n", name, m.Rect.Dx(), m.Rect.Dy(), time.Since(begin).Round(time.Microsecond))
	return nil
}
