package python_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/halite-run/halite/python"
)

// A script that nobody trusts gets a second, 128 MiB and one function of ours.
func Example() {
	ctx := context.Background()
	p, err := python.New(ctx, python.Config{
		Home:      os.Getenv("HALITE_PYTHON"), // what `halite port python` printed
		MaxMemory: 128 << 20,
		Stdout:    os.Stdout,
		Functions: map[string]python.Func{
			"price": func(_ context.Context, args []any, _ map[string]any) (any, error) {
				if args[0] == "salt" {
					return 1.25, nil
				}
				return nil, errors.New("not in stock")
			},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err = p.Exec(ctx, `
from nacl import host

def total(order):
    return sum(host.price(name) * n for name, n in order.items())
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := p.Call(ctx, "total", map[string]any{"salt": 4})
	var exception *python.Exception
	switch {
	case errors.As(err, &exception):
		fmt.Println(exception.Traceback)
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("too slow")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println(v)
	}
}
