package validator

import (
	"fmt"
	"math/bits"
	"strings"
	"sync"
)

// Features is a set of CPU features, as far as instructions need them. An
// instruction that this CPU lacks would fault, at best; Options.Features makes
// the validator say so before.
//
// LZCNT and TZCNT are no members: without them a CPU executes BSR and BSF.
type Features uint64

// The features, by their usual names. Prefetch3DNow is the bit that CPUs
// without 3DNow! have for its prefetch instructions; EMMX is AMD's bit for the
// part of SSE that works on MMX registers.
const (
	FeatureX87 Features = 1 << iota
	FeatureMMX
	FeatureSSE
	FeatureSSE2
	FeatureSSE3
	FeatureSSSE3
	FeatureSSE41
	FeatureSSE42
	FeatureSSE4A
	FeatureEMMX
	Feature3DNow
	FeatureE3DNow
	FeaturePrefetch3DNow
	FeatureCMOV
	FeatureCX8
	FeatureCX16
	FeatureTSC
	FeatureLAHF
	FeatureMOVBE
	FeaturePOPCNT
	FeatureAVX
	FeatureAVX2
	FeatureFMA
	FeatureF16C
	FeatureAES
	FeatureCLMUL
	FeatureBMI1
	FeatureBMI2
	FeatureADX
	FeatureSHA
	FeatureVAES
	FeatureVPCLMUL

	featureEnd

	// AllFeatures is every feature that a known instruction may need.
	AllFeatures = featureEnd - 1
)

var featureNames = [...]string{
	"x87", "MMX", "SSE", "SSE2", "SSE3", "SSSE3", "SSE41", "SSE42", "SSE4A", "EMMX", "3DNOW", "E3DNOW", "PRE",
	"CMOV", "CX8", "CX16", "TSC", "LAHF", "MOVBE", "POPCNT", "AVX", "AVX2", "FMA", "F16C", "AES", "CLMUL",
	"BMI1", "BMI2", "ADX", "SHA", "VAES", "VPCLMUL",
}

// String lists the features, separated by commas.
func (f Features) String() string {
	if f == 0 {
		return "none"
	}
	var l []string
	for ; f != 0; f &= f - 1 {
		i := bits.TrailingZeros64(uint64(f))
		if i < len(featureNames) {
			l = append(l, featureNames[i])
		} else {
			l = append(l, fmt.Sprintf("bit %d", i))
		}
	}
	return strings.Join(l, ",")
}

// ParseFeatures reads what String writes.
func ParseFeatures(s string) (Features, error) {
	var f Features
	if s == "" || s == "none" {
		return 0, nil
	}
next:
	for _, name := range strings.Split(s, ",") {
		for i, n := range featureNames {
			if strings.EqualFold(n, name) {
				f |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("validator: no CPU feature %q; known are %s", name, AllFeatures)
	}
	return f, nil
}

// A needID stands for the features that a form needs: an index of needFeatures.
type needID uint8

const (
	needNothing needID = iota
	needX87
	needMMX
	needSSE
	needSSE2
	needSSE3
	needSSSE3
	needSSE41
	needSSE42
	needSSE4A
	needEMMXOrSSE
	need3DNow
	needE3DNow
	needPrefetch
	needCMOV
	needCMOVx87
	needCX8
	needCX16
	needTSC
	needLAHF
	needMOVBE
	needPOPCNT
	needAVX
	needAVX2
	needAVXAndAVX2
	needFMA
	needF16C
	needAES
	needAESAVX
	needCLMUL
	needCLMULAVX
	needBMI1
	needBMI2
	needADX
	needSHA
	needVAES
	needVPCLMUL

	needCount
)

// needFeatures: a form may be executed where one of the alternatives is a
// subset of what the CPU has.
var needFeatures = [needCount][2]Features{
	needNothing:    {0, 0},
	needX87:        {FeatureX87, FeatureX87},
	needMMX:        {FeatureMMX, FeatureMMX},
	needSSE:        {FeatureSSE, FeatureSSE},
	needSSE2:       {FeatureSSE2, FeatureSSE2},
	needSSE3:       {FeatureSSE3, FeatureSSE3},
	needSSSE3:      {FeatureSSSE3, FeatureSSSE3},
	needSSE41:      {FeatureSSE41, FeatureSSE41},
	needSSE42:      {FeatureSSE42, FeatureSSE42},
	needSSE4A:      {FeatureSSE4A, FeatureSSE4A},
	needEMMXOrSSE:  {FeatureEMMX, FeatureSSE},
	need3DNow:      {Feature3DNow, Feature3DNow},
	needE3DNow:     {FeatureE3DNow, FeatureE3DNow},
	needPrefetch:   {Feature3DNow, FeaturePrefetch3DNow},
	needCMOV:       {FeatureCMOV, FeatureCMOV},
	needCMOVx87:    {FeatureCMOV | FeatureX87, FeatureCMOV | FeatureX87},
	needCX8:        {FeatureCX8, FeatureCX8},
	needCX16:       {FeatureCX16, FeatureCX16},
	needTSC:        {FeatureTSC, FeatureTSC},
	needLAHF:       {FeatureLAHF, FeatureLAHF},
	needMOVBE:      {FeatureMOVBE, FeatureMOVBE},
	needPOPCNT:     {FeaturePOPCNT, FeaturePOPCNT},
	needAVX:        {FeatureAVX, FeatureAVX},
	needAVX2:       {FeatureAVX2, FeatureAVX2},
	needAVXAndAVX2: {FeatureAVX | FeatureAVX2, FeatureAVX | FeatureAVX2},
	needFMA:        {FeatureFMA, FeatureFMA},
	needF16C:       {FeatureF16C | FeatureAVX, FeatureF16C | FeatureAVX},
	needAES:        {FeatureAES, FeatureAES},
	needAESAVX:     {FeatureAES | FeatureAVX, FeatureAES | FeatureAVX},
	needCLMUL:      {FeatureCLMUL, FeatureCLMUL},
	needCLMULAVX:   {FeatureCLMUL | FeatureAVX, FeatureCLMUL | FeatureAVX},
	needBMI1:       {FeatureBMI1, FeatureBMI1},
	needBMI2:       {FeatureBMI2, FeatureBMI2},
	needADX:        {FeatureADX, FeatureADX},
	needSHA:        {FeatureSHA, FeatureSHA},
	needVAES:       {FeatureVAES | FeatureAVX2, FeatureVAES | FeatureAVX2},
	needVPCLMUL:    {FeatureVPCLMUL | FeatureAVX2, FeatureVPCLMUL | FeatureAVX2},
}

// lacks reports whether a CPU with these features can't execute what needs n.
func (f Features) lacks(n needID) bool {
	return needFeatures[n][0]&^f != 0 && needFeatures[n][1]&^f != 0
}

// HostFeatures returns the features of the CPU that this process runs on, as
// far as the operating system has enabled them.
func HostFeatures() Features { return hostFeatures() }

var hostFeatures = sync.OnceValue(func() (f Features) {
	set := func(x Features, yes bool) {
		if yes {
			f |= x
		}
	}
	bit := func(word uint32, n uint) bool { return word>>n&1 != 0 }

	most, _, _, _ := cpuid(0, 0)
	_, _, c1, d1 := cpuid(1, 0)
	set(FeatureX87, bit(d1, 0))
	set(FeatureTSC, bit(d1, 4))
	set(FeatureCX8, bit(d1, 8))
	set(FeatureCMOV, bit(d1, 15))
	set(FeatureMMX, bit(d1, 23))
	set(FeatureSSE, bit(d1, 25))
	set(FeatureSSE2, bit(d1, 26))
	set(FeatureSSE3, bit(c1, 0))
	set(FeatureCLMUL, bit(c1, 1))
	set(FeatureSSSE3, bit(c1, 9))
	set(FeatureCX16, bit(c1, 13))
	set(FeatureSSE41, bit(c1, 19))
	set(FeatureSSE42, bit(c1, 20))
	set(FeatureMOVBE, bit(c1, 22))
	set(FeaturePOPCNT, bit(c1, 23))
	set(FeatureAES, bit(c1, 25))

	// The wide registers, where the system saves them.
	avx := false
	if bit(c1, 27) {
		x, _ := xgetbv()
		avx = x&6 == 6
	}
	set(FeatureAVX, avx && bit(c1, 28))
	set(FeatureFMA, avx && bit(c1, 12))
	set(FeatureF16C, avx && bit(c1, 29))
	if most >= 7 {
		_, b7, c7, _ := cpuid(7, 0)
		set(FeatureBMI1, bit(b7, 3))
		set(FeatureAVX2, avx && bit(b7, 5))
		set(FeatureBMI2, bit(b7, 8))
		set(FeatureADX, bit(b7, 19))
		set(FeatureSHA, bit(b7, 29))
		set(FeatureVAES, avx && bit(c7, 9))
		set(FeatureVPCLMUL, avx && bit(c7, 10))
	}
	if top, _, _, _ := cpuid(0x80000000, 0); top >= 0x80000001 {
		_, _, c, d := cpuid(0x80000001, 0)
		set(FeatureLAHF, bit(c, 0))
		set(FeatureSSE4A, bit(c, 6))
		set(FeaturePrefetch3DNow, bit(c, 8))
		set(FeatureEMMX, bit(d, 22))
		set(FeatureE3DNow, bit(d, 30))
		set(Feature3DNow, bit(d, 31))
	}
	return f
})

// In cpuid_amd64.s.
func cpuid(leaf, sub uint32) (a, b, c, d uint32)
func xgetbv() (a, d uint32)
