package python

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"sort"
	"unicode/utf8"
)

// The wire between host and interpreter carries values in the format of
// Python's own module marshal, version 2, which has no references. What comes
// from a guest is hostile: the decoder's memory is bounded by the length of the
// message and by maxValues, and its depth by maxDepth.

const (
	maxDepth = 200
	// maxValues bounds the values of one message: each takes many times the byte
	// that it can be on the wire.
	maxValues = 4 << 20
)

var errMarshal = errors.New("python: the interpreter sent something that is no value")

// appendValue encodes a Go value.
func appendValue(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errors.New("python: a value nests too deeply")
	}
	le := binary.LittleEndian
	var err error
	list := func(tag byte, n int, at func(int) any) ([]byte, error) {
		b = le.AppendUint32(append(b, tag), uint32(n))
		for i := range n {
			if b, err = appendValue(b, at(i), depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	if uint64(lengthOf(v)) > math.MaxInt32 {
		return nil, errors.New("python: a value is too long")
	}
	switch v := v.(type) {
	case nil:
		return append(b, 'N'), nil
	case bool:
		if v {
			return append(b, 'T'), nil
		}
		return append(b, 'F'), nil
	case int:
		return appendInt(b, int64(v)), nil
	case int8:
		return appendInt(b, int64(v)), nil
	case int16:
		return appendInt(b, int64(v)), nil
	case int32:
		return appendInt(b, int64(v)), nil
	case int64:
		return appendInt(b, v), nil
	case uint8:
		return appendInt(b, int64(v)), nil
	case uint16:
		return appendInt(b, int64(v)), nil
	case uint32:
		return appendInt(b, int64(v)), nil
	case uint:
		return appendBig(b, new(big.Int).SetUint64(uint64(v))), nil
	case uint64:
		return appendBig(b, new(big.Int).SetUint64(v)), nil
	case *big.Int:
		return appendBig(b, v), nil
	case float32:
		return le.AppendUint64(append(b, 'g'), math.Float64bits(float64(v))), nil
	case float64:
		return le.AppendUint64(append(b, 'g'), math.Float64bits(v)), nil
	case complex128:
		b = le.AppendUint64(append(b, 'y'), math.Float64bits(real(v)))
		return le.AppendUint64(b, math.Float64bits(imag(v))), nil
	case string:
		if !utf8.ValidString(v) {
			return nil, errors.New("python: a string is not valid UTF-8; hand it over as []byte")
		}
		b = le.AppendUint32(append(b, 'u'), uint32(len(v)))
		return append(b, v...), nil
	case []byte:
		b = le.AppendUint32(append(b, 's'), uint32(len(v)))
		return append(b, v...), nil
	case Tuple:
		return list('(', len(v), func(i int) any { return v[i] })
	case []any:
		return list('[', len(v), func(i int) any { return v[i] })
	case []string:
		return list('[', len(v), func(i int) any { return v[i] })
	case []int:
		return list('[', len(v), func(i int) any { return v[i] })
	case []float64:
		return list('[', len(v), func(i int) any { return v[i] })
	case Set:
		return list('<', len(v), func(i int) any { return v[i] })
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		b = append(b, '{')
		for _, k := range keys {
			if b, err = appendValue(b, k, depth+1); err != nil {
				return nil, err
			}
			if b, err = appendValue(b, v[k], depth+1); err != nil {
				return nil, err
			}
		}
		return append(b, '0'), nil
	case Dict:
		b = append(b, '{')
		for _, e := range v {
			if b, err = appendValue(b, e.Key, depth+1); err != nil {
				return nil, err
			}
			if b, err = appendValue(b, e.Value, depth+1); err != nil {
				return nil, err
			}
		}
		return append(b, '0'), nil
	}
	return nil, fmt.Errorf("python: a %T can't be given to Python", v)
}

func lengthOf(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	case []any:
		return len(v)
	case Tuple:
		return len(v)
	}
	return 0
}

func appendInt(b []byte, v int64) []byte {
	if v >= math.MinInt32 && v <= math.MaxInt32 {
		return binary.LittleEndian.AppendUint32(append(b, 'i'), uint32(int32(v)))
	}
	return appendBig(b, big.NewInt(v))
}

// appendBig encodes any integer: a count of digits to the base 2^15, negative
// for a negative number, and the digits.
func appendBig(b []byte, v *big.Int) []byte {
	le := binary.LittleEndian
	if v.IsInt64() && v.Int64() >= math.MinInt32 && v.Int64() <= math.MaxInt32 {
		return le.AppendUint32(append(b, 'i'), uint32(int32(v.Int64())))
	}
	rest := new(big.Int).Abs(v)
	mask := big.NewInt(0x7fff)
	var digits []uint16
	for rest.Sign() != 0 {
		digits = append(digits, uint16(new(big.Int).And(rest, mask).Uint64()))
		rest.Rsh(rest, 15)
	}
	n := int32(len(digits))
	if v.Sign() < 0 {
		n = -n
	}
	b = le.AppendUint32(append(b, 'l'), uint32(n))
	for _, d := range digits {
		b = le.AppendUint16(b, d)
	}
	return b
}

// decoder reads one value from a message.
type decoder struct {
	b      []byte
	values int
}

// decode reads a message that is exactly one value.
func decode(b []byte) (any, error) {
	d := decoder{b: b}
	v, _, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if len(d.b) != 0 {
		return nil, errMarshal
	}
	return v, nil
}

func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.b) {
		return nil, errMarshal
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b, nil
}

func (d *decoder) long() (int, error) {
	b, err := d.take(4)
	if err != nil {
		return 0, err
	}
	return int(int32(binary.LittleEndian.Uint32(b))), nil
}

func (d *decoder) float() (float64, error) {
	b, err := d.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
}

// count is the length of a container: each member takes a byte at least.
func (d *decoder) count() (int, error) {
	n, err := d.long()
	if err == nil && (n < 0 || n > len(d.b)) {
		err = errMarshal
	}
	return n, err
}

func (d *decoder) members(depth int) ([]any, error) {
	n, err := d.count()
	if err != nil {
		return nil, err
	}
	list := []any{}
	for range n {
		v, end, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if end {
			return nil, errMarshal
		}
		list = append(list, v)
	}
	return list, nil
}

// value reads one value; end is the mark that ends a dict.
func (d *decoder) value(depth int) (v any, end bool, err error) {
	if d.values++; depth > maxDepth || d.values > maxValues {
		return nil, false, errMarshal
	}
	tag, err := d.take(1)
	if err != nil {
		return nil, false, err
	}
	switch tag[0] {
	case 'N':
		return nil, false, nil
	case 'T':
		return true, false, nil
	case 'F':
		return false, false, nil
	case '0':
		return nil, true, nil
	case 'i':
		n, err := d.long()
		return int64(n), false, err
	case 'l':
		v, err := d.bigInt()
		return v, false, err
	case 'g':
		v, err := d.float()
		return v, false, err
	case 'y':
		re, err := d.float()
		if err != nil {
			return nil, false, err
		}
		im, err := d.float()
		return complex(re, im), false, err
	case 's':
		n, err := d.count()
		if err != nil {
			return nil, false, err
		}
		b, err := d.take(n)
		return append([]byte{}, b...), false, err
	case 'u', 't':
		n, err := d.count()
		if err != nil {
			return nil, false, err
		}
		// Lone surrogates stay as the bytes that Python makes of them.
		b, err := d.take(n)
		return string(b), false, err
	case '(':
		l, err := d.members(depth)
		return Tuple(l), false, err
	case '[':
		l, err := d.members(depth)
		return l, false, err
	case '<', '>':
		l, err := d.members(depth)
		return Set(l), false, err
	case '{':
		v, err := d.dict(depth)
		return v, false, err
	}
	return nil, false, errMarshal
}

func (d *decoder) bigInt() (any, error) {
	n, err := d.long()
	if err != nil {
		return nil, err
	}
	count := n
	if count < 0 {
		count = -count
	}
	if count > len(d.b)/2 {
		return nil, errMarshal
	}
	b, err := d.take(2 * count)
	if err != nil {
		return nil, err
	}
	// The digits as one number of bits, most significant byte first.
	bits := make([]byte, (15*count+7)/8)
	for i := range count {
		digit := uint32(binary.LittleEndian.Uint16(b[2*i:]))
		if digit > 0x7fff {
			return nil, errMarshal
		}
		for at, word := 15*i, digit<<(15*i%8); word != 0; word >>= 8 {
			bits[len(bits)-1-at/8] |= byte(word)
			at += 8
		}
	}
	v := new(big.Int).SetBytes(bits)
	if n < 0 {
		v.Neg(v)
	}
	if v.IsInt64() {
		return v.Int64(), nil
	}
	return v, nil
}

// dict is a map[string]any when all keys are strings, and a Dict otherwise.
func (d *decoder) dict(depth int) (any, error) {
	var entries Dict
	named := true
	for {
		k, end, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if end {
			break
		}
		v, end, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if end {
			return nil, errMarshal
		}
		if _, ok := k.(string); !ok {
			named = false
		}
		entries = append(entries, Item{k, v})
	}
	if !named {
		return entries, nil
	}
	m := make(map[string]any, len(entries))
	for _, e := range entries {
		m[e.Key.(string)] = e.Value
	}
	return m, nil
}
