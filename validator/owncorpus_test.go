package validator

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// The corpora of this repository, in testdata/corpus: texts and their verdicts,
// for each ABI. They are made here, from a fixed seed, and their verdicts are those
// of the slow validators. HALITE_CORPUS=write makes them anew; without it the
// fast validator has to agree with what is recorded. A change of the difference
// between the two must be argued.

const ownCorpora = "testdata/corpus/"

// A corpusMaker makes cases of one ABI.
type corpusMaker struct {
	abi     ABI
	rnd     *rand.Rand
	out     *bufio.Writer
	seen    map[string]bool
	cases   int
	valid   int
	atoms   [][]byte // valid instructions and units
	section string
}

// verdict is what the slow validators say.
func (m *corpusMaker) verdict(text []byte) string {
	if m.abi != Halite {
		line, _ := refNaClValidate(text, m.abi)
		return line
	}
	mask, why := refStarts(text, corpusOffset, DefaultThreadPointer)
	if why != "" {
		return "I"
	}
	line := "V "
	for _, w := range mask {
		line += fmt.Sprintf("%08x", w)
	}
	return line
}

// corpusOffset is where the texts of the halite ABI are judged.
const corpusOffset = 0x400000

func (m *corpusMaker) open(section string) {
	m.section = section
	fmt.Fprintf(m.out, "# section %s\n", section)
}

// add writes a case, once, and says whether it is valid. always also writes what is
// refused; otherwise only about as many as are accepted.
func (m *corpusMaker) add(code []byte, always bool) bool {
	text := bytes.Clone(code)
	for len(text) == 0 || len(text)%BundleSize != 0 {
		text = append(text, 0x90)
	}
	key := string(text)
	if m.seen[key] {
		return false
	}
	line := m.verdict(text)
	valid := line != "I"
	if !valid && !always && m.cases > 2*m.valid+100 {
		return false
	}
	m.seen[key] = true
	m.cases++
	code = trimNops(text)
	h := hex.EncodeToString(code)
	if len(code) <= len(text)-BundleSize {
		h = hex.EncodeToString(text) // the length is part of the case
	}
	if h == "" {
		h = "-"
	}
	if letter, mask, ok := strings.Cut(line, " "); ok {
		m.valid++
		fmt.Fprintf(m.out, "%s %s %s\n", letter, h, mask)
	} else {
		fmt.Fprintf(m.out, "I %s\n", h)
	}
	return valid
}

func trimNops(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0x90 {
		b = b[:len(b)-1]
	}
	return b
}

func (m *corpusMaker) byte() byte { return byte(m.rnd.Uint32()) }

func (m *corpusMaker) pick(list ...string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(list[m.rnd.IntN(len(list))], " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// encoding makes the bytes of an instruction that may exist.
func (m *corpusMaker) encoding() []byte {
	var b []byte
	prefixes := []string{"", "", "", "", "66", "f2", "f3", "f0", "66f0", "f066", "66f2", "66f3", "2e", "3e", "65", "64", "67", "6666", "f366"}
	if m.abi == Halite {
		prefixes = append(prefixes, "6567", "6567", "6567", "6567", "656766", "6567f2", "6567f3", "6567f0", "656766f0", "6765")
	}
	b = append(b, m.pick(prefixes...)...)
	vex := m.rnd.IntN(6) == 0
	if vex {
		b = append(b[:0], m.pick("", "", "", "6567", "66", "41")...)
		if m.rnd.IntN(2) == 0 {
			b = append(b, 0xc5, m.byte()|byte(m.rnd.IntN(2))*0x78, m.byte())
		} else {
			b = append(b, 0xc4, m.byte()&0xe0|byte(1+m.rnd.IntN(3)), m.byte()|byte(m.rnd.IntN(2))*0x78, m.byte())
		}
	} else {
		if m.abi != X86_32 && m.rnd.IntN(2) == 0 {
			b = append(b, 0x40|byte(m.rnd.IntN(16)))
		}
		b = append(b, m.pick("", "0f", "0f", "0f38", "0f3a")...)
		b = append(b, m.byte())
	}
	b = append(b, m.byte())
	for range m.rnd.IntN(4) {
		b = append(b, m.byte())
	}
	return b
}

// atom is a valid instruction or unit.
func (m *corpusMaker) atom() []byte { return m.atoms[m.rnd.IntN(len(m.atoms))] }

// sequences are those that the rules know by their bytes, and instructions that
// touch what they protect.
func (m *corpusMaker) sequences() [][]byte {
	var all [][]byte
	add := func(list ...string) {
		for _, s := range list {
			b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
			if err != nil {
				panic(s)
			}
			all = append(all, b)
		}
	}
	for _, op := range []int{0xe0, 0xd0} {
		for n := range 16 {
			r := n & 7
			switch {
			case m.abi == X86_32 && n < 8:
				add(fmt.Sprintf("83%02xe0 ff%02x", 0xe0+r, op+r))
			case m.abi != X86_32 && n < 8:
				add(fmt.Sprintf("83%02xe0 4c01%02x ff%02x", 0xe0+r, 0xf8+r, op+r), fmt.Sprintf("4283%02xe0 4903%02x 48ff%02x", 0xe0+r, 0xc7+8*r, op+r))
			case m.abi != X86_32:
				add(fmt.Sprintf("4183%02xe0 4d01%02x 41ff%02x", 0xe0+r, 0xf8+r, op+r), fmt.Sprintf("4783%02xe0 4f03%02x 4dff%02x", 0xe0+r, 0xc7+8*r, op+r))
			}
		}
	}
	add("90", "6690", "f390", "0f1f00", "0f1f4000", "660f1f440000", "660f1f840000000000", "662e0f1f840000000000", "66666666662e0f1f840000000000",
		"f4", "cc", "0f0b", "0fa2", "0f31", "c3", "f3c3", "c20800", "c9", "cd80", "0f05", "0f34", "50", "58", "5c", "54", "9c", "9d", "fc", "fd", "9e", "9f",
		"ebfe", "eb00", "74fe", "e800000000", "e900000000", "0f8400000000", "2e7400", "3e0f8500000000", "e300", "67e300", "e200", "66e90000", "66e800000000",
		"0fc7c8", "0faef0", "0fae28", "0fae38", "660fae38", "0f18 07", "0f180f", "0f0d07", "0f0d0f", "c744c040", "0fc307", "0f2b07", "660fe707", "660f2a07", "f30fb8c0", "f30fbcc0", "f30fbdc0")
	switch m.abi {
	case Halite:
		add("64 8b 04 25 10000000", "64 44 8b 04 25 10000000", "64 8b 24 25 10000000", "64 44 8b 3c 25 10000000", "64 8b 04 25 08000000", "64 48 8b 04 25 10000000",
			"65 67 8b 03", "65 67 89 44 8b 10", "65 67 8b 04 25 00000100", "65 67 0f 10 07", "65 8b 03", "67 8b 03", "8b 05 00000000", "48 8d 05 00000080", "8b 05 0000c0ff", "65 8b 05 00000000",
			"65 67 f0 0f c1 03", "65 67 48 0f c7 0f", "65 67 c4 e2 7d 90 04 07", "65 67 c5 fa 7f 07", "65 67 0f a3 07", "a1 00000000 00000000", "d7", "a4", "aa", "65 67 8b 04 24", "48 89 e0", "49 89 c7", "4c 89 f8", "44 8d 3c 25 00000000")
	case Classic:
		for n := range 16 {
			add(fmt.Sprintf("%s89%02x %s8b04%02x", []string{"", "45"}[n>>3], 0xc0+9*(n&7), []string{"41", "43"}[n>>3], 7+8*(n&7)))
			add(fmt.Sprintf("%s8d40%02x", []string{"", "44"}[n>>3], n))
		}
		add("89f6 498d3437 a4", "89f6 498d3437 89ff 498d3c3f a4", "89f6 498d3437 89ff 498d3c3f f348a5", "8bff 498d3c3f aa", "4089ff 498d3c3f f366ab", "89ff 498d3c3f f2ae", "89f6 498d3437 a6", "89ff 498d3c3f a7", "89f6 498d3437 89ff 498d3c3f f2a5", "89f6 498d3437 89ff 498d3c3f ac", "89f6 498d3437 48ad",
			"89ff 498d3c3f 0ff7c1", "89ff 498d3c3f 660ff7c1", "89ff 498d3c3f c5f9f7c1", "89ff 498d3c3f c4c179f7c1", "89ff 498d3c3f 66440ff7c1",
			"4889e5", "4889ec", "4883e4f0", "4883e470", "8bec 4c01fd", "89e4 4c01fc", "83ec10 4c01fc", "83ec10 4901fc", "83c408 4903e7", "8d6424f8 4a8d243c", "83c408 4a8d643c00", "89ed 4c01fd", "83ec10 90", "4c01fc", "4c09fc", "4883ec10", "4189c7",
			"418b07", "418b4708", "8b0424", "8b4500", "8b05 00000000", "418b0407", "8b07", "4090", "4490", "4190", "4890 418b0407", "4090 418b0407", "87c0 418b0407", "0fbcc0 418b0407", "0f44c1 418b0407", "0fc8 418b0407", "b801000000 418b0407", "66b80100 418b0407", "c1e002 418b0407",
			"480fc307", "490fc307", "89c0 490fc30407", "490f2b07", "66490fe707", "490f1807")
	case X86_32:
		add("4083e0e0ffe0", "4283e2e0ffd2", "65a100000000", "65a104000000", "65a108000000", "658b0500000000", "658b3d04000000", "658b0d10000000", "a4", "f3a4", "f3a5", "66a5", "f366a5", "f2ae", "f3aa", "f2aa", "ac", "f3ac", "a100000000", "66a100000000", "c8100000",
			"89e5", "8be5", "83ec10", "8b0424", "8b07", "40", "4c", "60", "61", "0fa3c1", "0fbae005", "66f001 07", "f06601 07", "c5f877", "c57877", "c4e37d4bc120", "c4e37d4bc1a0")
	}
	return all
}

func (m *corpusMaker) make(scale int) {
	// Everything that may be an instruction.
	m.open("encodings")
	for range 400000 * scale {
		if m.valid == 6000*scale {
			break
		}
		if code := m.encoding(); m.add(code, false) {
			m.atoms = append(m.atoms, m.firstOf(code))
		}
	}
	m.open("sequences")
	for _, s := range m.sequences() {
		if m.add(s, true) {
			m.atoms = append(m.atoms, s)
		}
		// Every byte replaced, every byte missing, something in between.
		for i := range s {
			for range 3 * scale {
				x := bytes.Clone(s)
				x[i] = m.byte()
				m.add(x, true)
			}
			m.add(slices.Concat(s[:i], s[i+1:]), true)
			m.add(slices.Concat(s[:i], []byte{0x90}, s[i:]), true)
			m.add(slices.Concat(s[:i], []byte{0x48}, s[i:]), true)
		}
	}
	m.open("edges")
	for range 1500 * scale {
		a := m.atom()
		for d := -1; d <= 1; d++ {
			pad := BundleSize - len(a) + d
			if pad >= 0 {
				m.add(append(bytes.Repeat([]byte{0x90}, pad), a...), true)
			}
		}
	}
	m.open("pairs")
	for range 3000 * scale {
		m.add(append(bytes.Clone(m.atom()), m.atom()...), true)
	}
	m.open("branches")
	for range 1500 * scale {
		m.add(m.branches(), true)
	}
	m.open("programs")
	for range 1000 * scale {
		p := m.program(2 + m.rnd.IntN(3))
		m.add(p, true)
		x := bytes.Clone(p)
		x[m.rnd.IntN(len(x))] = m.byte()
		m.add(x, true)
	}
}

// firstOf cuts a valid chunk behind its first instruction or unit.
func (m *corpusMaker) firstOf(code []byte) []byte {
	for n := 1; n < len(code); n++ {
		if m.valid1(code[:n]) && m.valid1(code[n:]) {
			return code[:n]
		}
	}
	return code
}

func (m *corpusMaker) valid1(code []byte) bool {
	text := bytes.Clone(code)
	for len(text) == 0 || len(text)%BundleSize != 0 {
		text = append(text, 0x90)
	}
	return m.verdict(text) != "I"
}

// program fills bundles with atoms.
func (m *corpusMaker) program(bundles int) []byte {
	var text []byte
	for range bundles {
		start := len(text)
		for {
			a := m.atom()
			if len(text)-start+len(a) > BundleSize {
				break
			}
			text = append(text, a...)
		}
		for len(text)-start < BundleSize {
			text = append(text, 0x90)
		}
	}
	return text
}

// branches is a program with one branch to any place within or near it.
func (m *corpusMaker) branches() []byte {
	p := m.program(1 + m.rnd.IntN(3))
	at := m.rnd.IntN(len(p)/BundleSize) * BundleSize
	jump := m.pick("eb00", "7400", "e800000000", "e900000000", "0f8f00000000", "2e7f00")
	if m.abi == Classic && m.rnd.IntN(4) == 0 {
		jump = m.pick("e300", "e200", "48e900000000")
	}
	to := m.rnd.IntN(len(p)+2*BundleSize) - BundleSize
	if m.rnd.IntN(3) == 0 {
		to &^= BundleSize - 1
	}
	from := at + len(jump)
	d := to - from
	if len(jump) < 4 {
		jump[len(jump)-1] = byte(d)
	} else {
		for i := range 4 {
			jump[len(jump)-4+i] = byte(d >> (8 * i))
		}
	}
	body := bytes.Clone(p[at:])
	text := append(bytes.Clone(p[:at]), jump...)
	for len(text)-at < BundleSize {
		a := m.atom()
		if len(text)-at+len(a) > BundleSize {
			text = append(text, 0x90)
			continue
		}
		text = append(text, a...)
	}
	return append(text, body[BundleSize:]...)
}

func writeOwnCorpus(t *testing.T, abi ABI, file string) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	m := &corpusMaker{abi: abi, rnd: rand.New(rand.NewPCG(uint64(abi)+1, 2026)), out: bufio.NewWriter(z), seen: map[string]bool{}}
	fmt.Fprintf(m.out, "# %s: verdicts of the slow validator; made by owncorpus_test.go\n", abi)
	m.make(1)
	if err := m.out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(ownCorpora, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d cases, %d valid, %d bytes", file, m.cases, m.valid, b.Len())
}

// ownCorpusLines reads the cases of a corpus.
func ownCorpusLines(t *testing.T, abi ABI) (lines []string) {
	t.Helper()
	f, err := os.Open(ownCorpora + abi.String() + ".txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(z)
	for sc.Scan() {
		if !strings.HasPrefix(sc.Text(), "#") {
			lines = append(lines, sc.Text())
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestOwnCorpus compares the validator with the recorded verdicts.
func TestOwnCorpus(t *testing.T) {
	for abi := Halite; abi <= X86_32; abi++ {
		t.Run(abi.String(), func(t *testing.T) {
			t.Parallel()
			file := ownCorpora + abi.String() + ".txt.gz"
			if os.Getenv("HALITE_CORPUS") == "write" {
				writeOwnCorpus(t, abi, file)
			}
			count := map[string]int{}
			wrong := 0
			for _, line := range ownCorpusLines(t, abi) {
				f := strings.Fields(line)
				text := corpusText(t, f[1])
				r, err := Validate(text, Options{ABI: abi, Offset: corpusOffset, CollectTargets: true})
				if err != nil {
					t.Fatal(err)
				}
				want := f[0]
				if want != "I" {
					want += " " + f[2]
				}
				count[f[0]]++
				if got := verdictLine(r); got != want {
					if wrong++; wrong < 20 {
						t.Errorf("%s: %s, want %s: %v", f[1], got, want, r.Err())
					}
				}
			}
			if wrong > 0 {
				t.Errorf("%d cases differ", wrong)
			}
			if count["V"] < 8000 || count["I"] < 8000 || abi != Halite && count["N"] == 0 {
				t.Errorf("the corpus is too small: %v", count)
			}
		})
	}
}
