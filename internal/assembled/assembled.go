// Package assembled reads guest code that assemble.sh has made for tests. The .hex
// files are committed, so that tests need no toolchain.
package assembled

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// Read returns the code of a .hex file, which is to stand at 0x20000, and where its
// functions are.
func Read(name string) (code []byte, symbols map[string]uint32, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	symbols = map[string]uint32{}
	inCode := false
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case line == "--":
			inCode = true
		case inCode:
			b, err := hex.DecodeString(line)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
			code = append(code, b...)
		default:
			var symbol string
			var at uint32
			if _, err := fmt.Sscanf(line, "%s %x", &symbol, &at); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
			symbols[symbol] = at
		}
	}
	return code, symbols, nil
}
