package halite

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"unsafe"

	"github.com/halite-run/halite/runtime"
)

// An Arg is an argument of a C function. There is one for each way in which C takes
// one:
//
//	Int, Bool, Pointer   integers and pointers
//	Float64, Float32     double and float
//	Bytes, String        a pointer to a copy of Go memory
//	Out, InOut           a pointer to a buffer that is copied back after the call
//	OnStack              a structure of more than 16 bytes, by value
//
// A structure of up to 16 bytes by value is its words of 8 bytes: one Int or Float64
// for each (a word that holds floats alone is a Float64, see Float32Pair), as long as
// registers are left for all of them; otherwise OnStack. A function that returns a
// structure of more than 16 bytes takes an Out for it as its first argument. A
// pointer to a structure is Bytes, Out or InOut of its memory; encoding/binary makes
// it from a Go structure, with C's padding as fields.
//
// Copies live on the guest's stack or heap, for the time of the call: C must not keep
// their addresses.
type Arg struct {
	// Few words, so that the compiler keeps them in registers: what it copies through
	// memory, after it was written word by word, has the processor wait, ten nanoseconds for each
	// argument.
	bits uint64 // or the length of what mem points to
	mem  *byte
	kind argKind
}

// memory is an argument that C takes a pointer to, or as its words.
func memory(k argKind, b []byte) Arg {
	return Arg{kind: k, bits: uint64(len(b)), mem: unsafe.SliceData(b)}
}

func (a *Arg) bytes() []byte { return unsafe.Slice(a.mem, a.bits) }

type argKind uint8

const (
	argInt argKind = iota
	argFloat
	argStack
	argIn
	argOut
	argInOut
	argString
)

// Integer is what Int takes.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

// Int passes an integer of any C type: sign- or zero-extended as its Go type says.
func Int[T Integer](v T) Arg { return Arg{bits: uint64(v)} }

// Bool passes 1 or 0.
func Bool(v bool) Arg {
	if v {
		return Arg{bits: 1}
	}
	return Arg{}
}

// Pointer passes an address of the guest.
func Pointer(p Ptr) Arg { return Arg{bits: uint64(p)} }

// Float64 passes a double.
func Float64(v float64) Arg { return Arg{kind: argFloat, bits: math.Float64bits(v)} }

// Float32 passes a float.
func Float32(v float32) Arg { return Arg{kind: argFloat, bits: uint64(math.Float32bits(v))} }

// Float32Pair passes a structure of two floats, or such a word of a larger one.
func Float32Pair(lo, hi float32) Arg {
	return Arg{kind: argFloat, bits: uint64(math.Float32bits(lo)) | uint64(math.Float32bits(hi))<<32}
}

// Bytes passes a pointer to a copy of b. What C writes there is lost.
func Bytes(b []byte) Arg { return memory(argIn, b) }

// String passes a pointer to a copy of s with a zero byte behind it. A zero byte in s
// ends the string for C.
func String(s string) Arg {
	return Arg{kind: argString, bits: uint64(len(s)), mem: unsafe.StringData(s)}
}

// Out passes a pointer to as many zero bytes as b has; b is what is there after the
// call. It is not touched if the call fails.
func Out(b []byte) Arg { return memory(argOut, b) }

// InOut passes a pointer to a copy of b; b is what is there after the call.
func InOut(b []byte) Arg { return memory(argInOut, b) }

// OnStack passes a structure of more than 16 bytes by value.
func OnStack(b []byte) Arg { return memory(argStack, b) }

// size is what the argument takes in the guest's memory.
func (a *Arg) size() int {
	if a.kind == argString {
		return len(a.bytes()) + 1
	}
	return len(a.bytes())
}

func (a *Arg) copyIn(mem Memory, at uint32) error {
	if a.kind == argOut {
		return mem.Zero(at, uint64(len(a.bytes())))
	}
	if err := mem.Write(at, a.bytes()); err != nil || a.kind != argString {
		return err
	}
	return mem.Store8(at+uint32(len(a.bytes())), 0)
}

// A Result is what a C function returned. It is read as the function's type says;
// nothing knows whether that is right. It comes from the guest: a pointer, length or
// index in it is to be checked like any input.
type Result struct {
	rax, rdx, xmm0, xmm1 uint64
}

// Results of C's integer types, of a pointer, of bool.
func (r Result) Int8() int8     { return int8(r.rax) }
func (r Result) Int16() int16   { return int16(r.rax) }
func (r Result) Int32() int32   { return int32(r.rax) }
func (r Result) Int64() int64   { return int64(r.rax) }
func (r Result) Uint8() uint8   { return uint8(r.rax) }
func (r Result) Uint16() uint16 { return uint16(r.rax) }
func (r Result) Uint32() uint32 { return uint32(r.rax) }
func (r Result) Uint64() uint64 { return r.rax }
func (r Result) Ptr() Ptr       { return Ptr(r.rax) }
func (r Result) Bool() bool     { return uint8(r.rax) != 0 }

// Float64 is a result of type double, Float32 of type float.
func (r Result) Float64() float64 { return math.Float64frombits(r.xmm0) }
func (r Result) Float32() float32 { return math.Float32frombits(uint32(r.xmm0)) }

// Struct returns a structure of up to 16 bytes that was returned by value. float
// tells for each of its two words of 8 bytes whether it holds floats alone.
func (r Result) Struct(float [2]bool) (b [16]byte) {
	ints, floats := []uint64{r.rax, r.rdx}, []uint64{r.xmm0, r.xmm1}
	for i, f := range float {
		from := &ints
		if f {
			from = &floats
		}
		binary.LittleEndian.PutUint64(b[8*i:], (*from)[0])
		*from = (*from)[1:]
	}
	return b
}

// hostFuncs adapts Config.Functions.
func hostFuncs(fs map[string]any) (map[string]runtime.HostFunc, error) {
	if len(fs) == 0 {
		return nil, nil
	}
	out := make(map[string]runtime.HostFunc, len(fs))
	for name, f := range fs {
		h, err := hostFunc(f)
		if err != nil {
			return nil, fmt.Errorf("function %s: %w", name, err)
		}
		out[name] = h
	}
	return out, nil
}

var contextType = reflect.TypeFor[context.Context]()

// hostFunc makes a function of the guest's calling convention.
func hostFunc(f any) (runtime.HostFunc, error) {
	switch f := f.(type) {
	case func(*Call):
		if f == nil {
			return nil, fmt.Errorf("a nil function")
		}
		return f, nil
	case runtime.HostFunc:
		if f == nil {
			return nil, fmt.Errorf("a nil function")
		}
		return f, nil
	}
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Func || v.IsNil() {
		return nil, fmt.Errorf("a %T is no function", f)
	}
	t := v.Type()
	if t.IsVariadic() || t.NumOut() > 1 {
		return nil, fmt.Errorf("%T: want a fixed number of parameters and at most one result", f)
	}
	for i := range t.NumIn() {
		if i == 0 && t.In(0) == contextType {
			continue
		}
		if !scalar(t.In(i)) {
			return nil, fmt.Errorf("%T: C has no %v for it: use integers, floats, bool and Ptr", f, t.In(i))
		}
	}
	if t.NumOut() == 1 && !scalar(t.Out(0)) {
		return nil, fmt.Errorf("%T: C has no %v for it: use integers, floats, bool and Ptr", f, t.Out(0))
	}
	return func(c *Call) {
		in := make([]reflect.Value, t.NumIn())
		ints, floats, stack := 0, 0, 0
		for i := range in {
			pt := t.In(i)
			if i == 0 && pt == contextType {
				in[i] = reflect.ValueOf(c.Context())
				continue
			}
			x := reflect.New(pt).Elem()
			in[i] = x
			if k := pt.Kind(); k == reflect.Float32 || k == reflect.Float64 {
				var bits uint64
				if floats < 8 {
					bits = math.Float64bits(c.Float64(floats))
					floats++
				} else {
					bits = c.StackArg(stack)
					stack++
				}
				if k == reflect.Float32 {
					x.SetFloat(float64(math.Float32frombits(uint32(bits))))
				} else {
					x.SetFloat(math.Float64frombits(bits))
				}
				continue
			}
			var bits uint64
			if ints < 6 {
				bits = c.Arg(ints)
				ints++
			} else {
				bits = c.StackArg(stack)
				stack++
			}
			switch {
			case pt.Kind() == reflect.Bool:
				x.SetBool(uint8(bits) != 0)
			case x.CanInt():
				// What is beyond the C type's width is arbitrary.
				shift := 64 - 8*pt.Size()
				x.SetInt(int64(bits) << shift >> shift)
			default:
				shift := 64 - 8*pt.Size()
				x.SetUint(bits << shift >> shift)
			}
		}
		out := v.Call(in)
		if len(out) == 0 {
			return
		}
		switch r := out[0]; r.Kind() {
		case reflect.Float64:
			c.ReturnFloat64(r.Float())
		case reflect.Float32:
			c.ReturnFloat32(float32(r.Float()))
		case reflect.Bool:
			if r.Bool() {
				c.Return(1)
			}
		default:
			if r.CanInt() {
				c.Return(uint64(r.Int()))
			} else {
				c.Return(r.Uint())
			}
		}
	}, nil
}

func scalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	}
	return false
}
