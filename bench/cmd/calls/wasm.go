package main

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/halite-run/halite/bench"
)

// module is lib.c as WebAssembly, by hand: an imported function, three of its own, and
// 16 pages of memory.
var module = []byte{
	0, 'a', 's', 'm', 1, 0, 0, 0,
	1, 10, 2, 0x60, 0, 0, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, // types: () -> (), (i32, i32) -> i32
	2, 16, 1, 3, 'e', 'n', 'v', 8, 'h', 'o', 's', 't', '_', 'a', 'd', 'd', 0, 1, // import
	3, 4, 3, 0, 1, 1, // functions
	5, 3, 1, 0, 16, // memory
	7, 28, 3, 7, 'n', 'o', 't', 'h', 'i', 'n', 'g', 0, 1, 3, 'a', 'd', 'd', 0, 2, 8, 'c', 'a', 'l', 'l', '_', 'a', 'd', 'd', 0, 3,
	10, 21, 3, 2, 0, 0x0b, 7, 0, 0x20, 0, 0x20, 1, 0x6a, 0x0b, 8, 0, 0x20, 0, 0x20, 1, 0x10, 0, 0x0b,
}

// wasm is a runtime with the module compiled. closing says whether a call can be
// stopped when its context ends, which costs checks in the code.
type wasm struct {
	r        wazero.Runtime
	compiled wazero.CompiledModule
}

func newWasm(closing bool) (*wasm, error) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(closing))
	_, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
			stack[0] = uint64(uint32(stack[0]) + uint32(stack[1]))
		}), []api.ValueType{api.ValueTypeI32, api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}).
		Export("host_add").Instantiate(ctx)
	if err != nil {
		return nil, err
	}
	compiled, err := r.CompileModule(ctx, module)
	return &wasm{r, compiled}, err
}

func (w *wasm) instance() (api.Module, error) {
	return w.r.InstantiateModule(context.Background(), w.compiled, wazero.NewModuleConfig().WithName(""))
}

// wazeroCall calls a function, with a context that can end if the call is to be stopped
// then.
func wazeroCall(what string, closing bool) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		w, err := newWasm(closing)
		if err != nil {
			return nil, err
		}
		m, err := w.instance()
		if err != nil {
			return nil, err
		}
		f := m.ExportedFunction(what)
		if f == nil {
			return nil, fmt.Errorf("no function %s", what)
		}
		ctx, cancel := callContext(closing)
		return &bench.Contestant{Name: "wazero", Close: func() { cancel(); w.r.Close(context.Background()) }, Run: func(n int) error {
			var stack [2]uint64
			for i := range n {
				stack[0], stack[1] = uint64(uint32(i)), 1
				if err := f.CallWithStack(ctx, stack[:]); err != nil {
					return err
				}
				if what != "nothing" && uint32(stack[0]) != uint32(i)+1 {
					return errSum
				}
			}
			return nil
		}}, nil
	}
}

// wazeroInstance makes an instance, calls it once and throws it away.
func wazeroInstance() (*bench.Contestant, error) {
	w, err := newWasm(false)
	if err != nil {
		return nil, err
	}
	return &bench.Contestant{Name: "wazero, compiled module", Close: func() { w.r.Close(context.Background()) }, Run: func(n int) error {
		ctx := context.Background()
		for range n {
			m, err := w.instance()
			if err != nil {
				return err
			}
			stack := [2]uint64{1, 2}
			if err := m.ExportedFunction("add").CallWithStack(ctx, stack[:]); err != nil || stack[0] != 3 {
				return fmt.Errorf("%d, %w", stack[0], err)
			}
			if err := m.Close(ctx); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}
