package halite_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/halite-run/halite"
)

// Run a program that `halite cc` built, for at most a second and in at most
// 64 MiB. It sees one directory of the host, read-only.
func ExampleRun() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	status, err := halite.Run(ctx, halite.Config{
		Program:   "guest/lua",
		Args:      []string{"/scripts/report.lua"},
		Mounts:    []halite.Mount{{Guest: "/scripts", Host: "scripts", ReadOnly: true}},
		Libraries: []string{"guest/lib"},
		Stdout:    os.Stdout,
		MaxMemory: 64 << 20,
	})
	var fault *halite.FaultError
	switch {
	case errors.As(err, &fault):
		log.Print(fault.Report())
	case errors.Is(err, context.DeadlineExceeded):
		log.Print("the script took too long")
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(status)
}

// Serve each request in a sandbox that has seen no other.
func ExampleTemplate() {
	ctx := context.Background()
	lib, err := halite.Load(ctx, halite.Config{Program: "libquery.so", Libraries: []string{"guest/lib"}, MaxMemory: 64 << 20})
	if err != nil {
		log.Fatal(err)
	}
	t, err := lib.Template() // after whatever is to be done once
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	serve := func(ctx context.Context, query string) (int32, error) {
		lib, err := t.New()
		if err != nil {
			return 0, err
		}
		defer lib.Close()
		run, err := lib.Func("run")
		if err != nil {
			return 0, err
		}
		r, err := run.Call(ctx, halite.String(query))
		return r.Int32(), err
	}
	fmt.Println(serve(ctx, "1 + 1"))
}
