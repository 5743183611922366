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
