package loader

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/halite-run/halite/validator"
)

// Verdicts keeps on disk which code was found safe, so that another process need
// not validate it again. Refusals are not kept.
//
// A record is named after everything that its verdict depends on: the hash of the
// code, computed over the private copy that is about to be mapped, its place, the
// ABI, the CPU's features and the validator's rules. It is authenticated with a
// key that only the directory's owner can read. Whoever can write records but not
// read the key gains nothing; whoever can read the key can vouch for any code, so
// the directory must not be granted to a guest.
//
// Any number of processes and goroutines may use a directory at once.
type Verdicts struct {
	dir  *os.Root
	path string
	key  []byte

	mu     sync.Mutex
	stored int // since the last pruning
}

const (
	maxVerdicts    = 8192              // records that pruning leaves in a directory
	pruneEvery     = maxVerdicts / 8   // records stored between two prunings of one process
	verdictRefresh = 24 * time.Hour    // how old a record gets before its use is noted
	tempAge        = time.Hour         // after which a temporary file belongs to nobody
	verdictKey     = "key"             // file name
	verdictTemp    = "tmp-"            // prefix of file names
	verdictMagic   = "halite verdict1" // of record and key files
	maxThreadLoads = 1 << 16           // in one record

	verdictHead = len(verdictMagic) + sha256.Size + sha256.Size + 4
)

// OpenVerdicts opens a directory of verdicts and makes it if it is not there. It
// refuses a directory or a key that somebody else owns or can get at.
func OpenVerdicts(dir string) (*Verdicts, error) {
	v, err := openVerdicts(dir)
	if err != nil {
		return nil, fmt.Errorf("verdict cache %s: %w", dir, err)
	}
	// Some hundred kilobytes are hashed for it, which the reading of files that
	// comes first hides.
	go validator.RuleVersion()
	return v, nil
}

func openVerdicts(dir string) (*Verdicts, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	v := &Verdicts{dir: root, path: path}
	info, err := root.Stat(".")
	if err == nil {
		err = private(info, true)
	}
	if err == nil {
		v.key, err = v.readKey()
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err = v.makeKey(); err == nil {
			v.key, err = v.readKey()
		}
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return v, nil
}

// Close gives the directory up. Nobody may use v any more.
func (v *Verdicts) Close() error { return v.dir.Close() }

// Path is the directory's absolute path.
func (v *Verdicts) Path() string { return v.path }

// private checks that a file is of the kind that it should be, ours, and closed to
// others.
func private(info fs.FileInfo, dir bool) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case dir && !info.IsDir():
		return errors.New("not a directory")
	case !dir && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file; remove it", info.Name())
	case !ok || int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d, and this process is of user %d", info.Name(), st.Uid, os.Geteuid())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s has mode %#o, which lets others in; chmod go= it, and remove what is in it", info.Name(), info.Mode().Perm())
	}
	return nil
}

// read reads a private file of the directory that has at most limit bytes. Links
// that lead out of the directory are refused by os.Root.
func (v *Verdicts) read(name string, limit int) (b []byte, info fs.FileInfo, err error) {
	f, err := v.dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	if err := private(info, false); err != nil {
		return nil, nil, err
	}
	if info.Size() > int64(limit) {
		return nil, nil, fmt.Errorf("%s has %d bytes, at most %d are expected", name, info.Size(), limit)
	}
	b = make([]byte, info.Size())
	_, err = io.ReadFull(f, b)
	return b, info, err
}

func (v *Verdicts) readKey() ([]byte, error) {
	const size = len(verdictMagic) + sha256.Size
	b, _, err := v.read(verdictKey, size)
	if err != nil {
		return nil, err
	}
	if len(b) != size || !strings.HasPrefix(string(b), verdictMagic) {
		return nil, fmt.Errorf("%s is damaged; remove it", verdictKey)
	}
	return b[len(verdictMagic):], nil
}

// makeKey makes the key, or finds that another process was faster.
func (v *Verdicts) makeKey() error {
	b := append([]byte(verdictMagic), make([]byte, sha256.Size)...)
	rand.Read(b[len(verdictMagic):])
	temp, err := v.temp(b, true)
	if err != nil {
		return err
	}
	defer v.dir.Remove(temp)
	if err := v.dir.Link(temp, verdictKey); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// temp writes a temporary file and returns its name.
func (v *Verdicts) temp(b []byte, sync bool) (name string, err error) {
	name = verdictTemp + rand.Text()
	f, err := v.dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		v.dir.Remove(name)
	}
	return name, err
}

// verdict is what a record says of code that was found safe.
type verdict struct {
	loads []uint32          // where the thread pointer's displacement was put in
	sum   [sha256.Size]byte // of the code with that done
}

// id is the name of what a verdict depends on.
func (k *textKey) id() (id [sha256.Size]byte) {
	h := sha256.New()
	h.Write([]byte(verdictMagic))
	rules := validator.RuleVersion()
	h.Write(rules[:])
	h.Write(k.sum[:])
	var b [24]byte
	b[0] = byte(k.abi)
	le.PutUint32(b[4:], k.at)
	le.PutUint32(b[8:], uint32(k.disp))
	le.PutUint64(b[16:], uint64(k.features))
	h.Write(b[:])
	h.Sum(id[:0])
	return id
}

func (v *Verdicts) mac(b []byte) []byte {
	h := hmac.New(sha256.New, v.key)
	h.Write(b)
	return h.Sum(nil)
}

// find looks for a verdict. A record that is damaged, forged or somebody else's
// is as good as none, and is removed.
func (v *Verdicts) find(k *textKey) (*verdict, bool) {
	id := k.id()
	name := hex.EncodeToString(id[:])
	b, info, err := v.read(name, verdictHead+4*maxThreadLoads+sha256.Size)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	var r *verdict
	if err == nil {
		r = v.parse(b, id)
	}
	if r == nil {
		v.dir.Remove(name)
		return nil, false
	}
	if now := time.Now(); now.Sub(info.ModTime()) > verdictRefresh {
		v.dir.Chtimes(name, now, now)
	}
	return r, true
}

// parse reads a record, nil when there is anything wrong with it.
func (v *Verdicts) parse(b []byte, id [sha256.Size]byte) *verdict {
	if len(b) < verdictHead+sha256.Size {
		return nil
	}
	body, mac := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !hmac.Equal(v.mac(body), mac) {
		return nil
	}
	p, ok := bytes.CutPrefix(body, []byte(verdictMagic))
	if !ok || !bytes.Equal(p[:sha256.Size], id[:]) {
		return nil
	}
	r := &verdict{sum: [sha256.Size]byte(p[sha256.Size:])}
	p = p[2*sha256.Size:]
	n := le.Uint32(p)
	p = p[4:]
	if n > maxThreadLoads || len(p) != int(4*n) {
		return nil
	}
	for ; len(p) > 0; p = p[4:] {
		r.loads = append(r.loads, le.Uint32(p))
	}
	return r
}

// store keeps a verdict. That it may fail, as for a full disk, is no error of
// anybody's: the next process validates again.
func (v *Verdicts) store(k *textKey, r *verdict) {
	if len(r.loads) > maxThreadLoads {
		return
	}
	id := k.id()
	b := make([]byte, 0, verdictHead+4*len(r.loads)+sha256.Size)
	b = append(b, verdictMagic...)
	b = append(b, id[:]...)
	b = append(b, r.sum[:]...)
	b = le.AppendUint32(b, uint32(len(r.loads)))
	for _, at := range r.loads {
		b = le.AppendUint32(b, at)
	}
	b = append(b, v.mac(b)...)
	temp, err := v.temp(b, false)
	if err != nil {
		return
	}
	if err := v.dir.Rename(temp, hex.EncodeToString(id[:])); err != nil {
		v.dir.Remove(temp)
		return
	}
	v.mu.Lock()
	v.stored++
	due := v.stored%pruneEvery == 1
	v.mu.Unlock()
	if due {
		v.prune(maxVerdicts)
	}
}

// prune removes the records that were not used for the longest time, until most
// are left, and temporary files that a process left behind.
func (v *Verdicts) prune(most int) {
	d, err := v.dir.Open(".")
	if err != nil {
		return
	}
	defer d.Close()
	type record struct {
		name string
		used time.Time
	}
	var list []record
	for {
		entries, err := d.ReadDir(1024)
		for _, e := range entries {
			info, err := e.Info()
			switch {
			case err != nil || e.Name() == verdictKey:
			case strings.HasPrefix(e.Name(), verdictTemp):
				if time.Since(info.ModTime()) > tempAge {
					v.dir.Remove(e.Name())
				}
			default:
				list = append(list, record{e.Name(), info.ModTime()})
			}
		}
		if err != nil {
			break
		}
	}
	if len(list) <= most {
		return
	}
	slices.SortFunc(list, func(a, b record) int {
		return cmp.Or(a.used.Compare(b.used), strings.Compare(a.name, b.name))
	})
	for _, r := range list[:len(list)-most*3/4] {
		v.dir.Remove(r.name)
	}
}
