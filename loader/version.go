package loader

// Version is what a reference asks of the object it binds to.
type Version struct {
	Name   string
	Hash   uint32 // System V hash of Name
	File   string // the object named by the requirement
	Hidden bool   // takes no unversioned definition
	Weak   bool   // missing versions are no error
}

// NewVersion makes the version that dlvsym asks for.
func NewVersion(name string) *Version {
	return &Version{Name: name, Hash: sysvHashOf(name), Hidden: true}
}

// Verneed is what an object requires of another one.
type Verneed struct {
	File     string
	Versions []Version
}

// version is the meaning of one version index.
type version struct {
	*Version      // nil: the index is not in use
	defined  bool // here, not required of another object
}

func (in *reader) dynVersions(d *Dynamic, value map[uint64]uint64) error {
	const where = "version tables"
	at, has := value[dtVerSym]
	if has {
		b, ok := d.file.tail(at)
		if !ok {
			return in.fail(RuleDynRange, where, "DT_VERSYM %#x is not inside the file part of a segment", at)
		}
		if at%2 != 0 {
			return in.fail(RuleVersion, where, "DT_VERSYM stands at odd address %#x", at)
		}
		if n := len(d.symtab) / symbolSize * 2; len(b) > n {
			b = b[:n]
		}
		if len(b) < d.symbols*2 {
			return in.fail(RuleVersion, where, "DT_VERSYM has room for %d symbols of %d", len(b)/2, d.symbols)
		}
		d.versym = b
	}
	set := func(index uint16, v *Version, defined bool) error {
		index &= 0x7fff
		for len(d.versions) <= int(index) {
			d.versions = append(d.versions, version{})
		}
		if d.versions[index].Version != nil {
			return in.fail(RuleVersion, where, "%s: version index %d is used twice", v.Name, index)
		}
		d.versions[index] = version{v, defined}
		return nil
	}
	str := func(off uint32, limit int, what string) (string, error) {
		return in.dynString(d, uint64(off), limit, where, what)
	}
	total := 0
	count := func(what string) error {
		if total++; total > MaxVersions {
			return in.fail(RuleVersion, where, "%s: more than %d versions", what, MaxVersions)
		}
		return nil
	}
	if at, has := value[dtVerDef]; has {
		b, ok := d.file.tail(at)
		if !ok {
			return in.fail(RuleDynRange, where, "DT_VERDEF %#x is not inside the file part of a segment", at)
		}
		d.defined = map[string]struct{}{}
		err := in.verdefs(b, value[dtVerDefNum], count, func(index, flags uint16, hash uint32, nameOff uint32) error {
			name, err := str(nameOff, MaxVersionName, "DT_VERDEF")
			if err != nil {
				return err
			}
			if flags&1 != 0 { // VER_FLG_BASE: names the file itself
				return nil
			}
			d.Verdef = append(d.Verdef, name)
			d.defined[name] = struct{}{}
			return set(index, &Version{Name: name, Hash: sysvHashOf(name)}, true)
		})
		if err != nil {
			return err
		}
	}
	if at, has := value[dtVerNeed]; has {
		b, ok := d.file.tail(at)
		if !ok {
			return in.fail(RuleDynRange, where, "DT_VERNEED %#x is not inside the file part of a segment", at)
		}
		if err := in.verneeds(d, b, value[dtVerNeedNum], count, str, set); err != nil {
			return err
		}
	}
	return nil
}

// verdefs walks DT_VERDEF.
func (in *reader) verdefs(b []byte, n uint64, count func(string) error, def func(index, flags uint16, hash, name uint32) error) error {
	const where, what = "version tables", "DT_VERDEF"
	for i := uint64(0); i < n; i++ {
		if err := count(what); err != nil {
			return err
		}
		if len(b) < 20 {
			return in.fail(RuleVersion, where, "%s: entry %d of %d is cut off", what, i, n)
		}
		if v := le.Uint16(b); v != 1 {
			return in.fail(RuleVersion, where, "%s: entry %d has version %d, want 1", what, i, v)
		}
		flags, index, hash := le.Uint16(b[2:]), le.Uint16(b[4:]), le.Uint32(b[8:])
		aux, next := uint64(le.Uint32(b[12:])), uint64(le.Uint32(b[16:]))
		if aux+8 > uint64(len(b)) {
			return in.fail(RuleVersion, where, "%s: the name of entry %d is beyond the segment", what, i)
		}
		if le.Uint16(b[6:]) == 0 {
			return in.fail(RuleVersion, where, "%s: entry %d has no name", what, i)
		}
		if err := def(index, flags, hash, le.Uint32(b[aux:])); err != nil {
			return err
		}
		if i+1 == n {
			break
		}
		// Entries only ever go forward: no loops.
		if next < 20 || next > uint64(len(b)) {
			return in.fail(RuleVersion, where, "%s: entry %d leads %#x bytes on, which is no entry", what, i, next)
		}
		b = b[next:]
	}
	return nil
}

func (in *reader) verneeds(d *Dynamic, b []byte, n uint64, count func(string) error,
	str func(uint32, int, string) (string, error), set func(uint16, *Version, bool) error) error {
	const where, what = "version tables", "DT_VERNEED"
	for i := uint64(0); i < n; i++ {
		if err := count(what); err != nil {
			return err
		}
		if len(b) < 16 {
			return in.fail(RuleVersion, where, "%s: entry %d of %d is cut off", what, i, n)
		}
		if v := le.Uint16(b); v != 1 {
			return in.fail(RuleVersion, where, "%s: entry %d has version %d, want 1", what, i, v)
		}
		cnt := int(le.Uint16(b[2:]))
		file, err := str(le.Uint32(b[4:]), MaxFileName, what)
		if err != nil {
			return err
		}
		aux, next := uint64(le.Uint32(b[8:])), uint64(le.Uint32(b[12:]))
		need := Verneed{File: file}
		a := b
		for j := range cnt {
			if err := count(what); err != nil {
				return err
			}
			if aux > uint64(len(a)) || uint64(len(a))-aux < 16 {
				return in.fail(RuleVersion, where, "%s: version %d of entry %d is beyond the segment", what, j, i)
			}
			a = a[aux:]
			name, err := str(le.Uint32(a[8:]), MaxVersionName, what)
			if err != nil {
				return err
			}
			flags, index := le.Uint16(a[4:]), le.Uint16(a[6:])
			v := &Version{Name: name, Hash: sysvHashOf(name), File: file, Hidden: index&0x8000 != 0, Weak: flags&2 != 0}
			need.Versions = append(need.Versions, *v)
			if err := set(index, v, false); err != nil {
				return err
			}
			if aux = uint64(le.Uint32(a[12:])); j+1 < cnt && aux < 16 {
				return in.fail(RuleVersion, where, "%s: version %d of entry %d leads %#x bytes on, which is no version", what, j, i, aux)
			}
		}
		d.Verneed = append(d.Verneed, need)
		if i+1 == n {
			break
		}
		if next < 16 || next > uint64(len(b)) {
			return in.fail(RuleVersion, where, "%s: entry %d leads %#x bytes on, which is no entry", what, i, next)
		}
		b = b[next:]
	}
	return nil
}

// versionIndex returns the version index of symbol i, and whether it is hidden.
func (d *Dynamic) versionIndex(i uint32) (index uint16, hidden bool) {
	if uint64(i)*2+2 > uint64(len(d.versym)) {
		return 1, false
	}
	v := le.Uint16(d.versym[uint64(i)*2:])
	return v & 0x7fff, v&0x8000 != 0
}

// versionOf returns the version with that index, nil when there is none: the
// indices 0 (local) and 1 (base) mean no version.
func (d *Dynamic) versionOf(index uint16) *Version {
	if int(index) < len(d.versions) {
		return d.versions[index].Version
	}
	return nil
}

// RequiredVersion returns the version that the object's own reference to symbol
// i asks for, nil when it asks for none. A symbol that is defined here asks for
// its own version when it is looked up through the scope.
func (d *Dynamic) RequiredVersion(i uint32) *Version {
	if d.versym == nil {
		return nil
	}
	index, _ := d.versionIndex(i)
	return d.versionOf(index)
}

// SymbolVersion is the version of symbol i, nil for none; preferred tells
// whether it is the one that new programs bind to (name@@version).
func (d *Dynamic) SymbolVersion(i uint32) (v *Version, preferred bool) {
	if d.versym == nil {
		return nil, true
	}
	index, hidden := d.versionIndex(i)
	return d.versionOf(index), !hidden
}

// DefinesVersion tells whether the object defines a version of that name.
func (d *Dynamic) DefinesVersion(name string) bool {
	_, ok := d.defined[name]
	return ok
}
