package halite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/halite-run/halite/loader"
)

// verdicts are the open caches of the process, by directory. There are as many as
// the program names directories, and they stay open: domains come and go.
var verdicts struct {
	mu   sync.Mutex
	open map[string]*loader.Verdicts
}

// VerdictCacheError says that New cannot use Config.VerdictCache.
type VerdictCacheError struct {
	Dir   string
	Shown string // what the guest was to see of the host, and lies above or below; otherwise ""
	Err   error  // why the directory can't be opened or trusted; otherwise nil
}

func (e *VerdictCacheError) Error() string {
	if e.Shown != "" {
		return fmt.Sprintf("verdict cache %s: the guest is shown %s, and could vouch for code of its own with the key; keep it elsewhere", e.Dir, e.Shown)
	}
	return e.Err.Error()
}

func (e *VerdictCacheError) Unwrap() error { return e.Err }

// verdictsOf opens what Config.VerdictCache names.
func verdictsOf(c *Config) (*loader.Verdicts, error) {
	if c.VerdictCache == "" {
		return nil, nil
	}
	verdicts.mu.Lock()
	defer verdicts.mu.Unlock()
	v := verdicts.open[c.VerdictCache]
	if v == nil {
		var err error
		if v, err = loader.OpenVerdicts(c.VerdictCache); err != nil {
			return nil, &VerdictCacheError{Dir: c.VerdictCache, Err: err}
		}
		if verdicts.open == nil {
			verdicts.open = map[string]*loader.Verdicts{}
		}
		verdicts.open[c.VerdictCache] = v
	}
	if host := c.showsHost(v.Path()); host != "" {
		return nil, &VerdictCacheError{Dir: v.Path(), Shown: host}
	}
	return v, nil
}

// showsHost returns the directory or file of the host by which a guest could get
// at something in the host's directory dir, "" when there is none: one of the
// Mounts or Libraries, above it or below.
func (c *Config) showsHost(dir string) string {
	real := resolved(dir)
	shown := append([]string(nil), c.Libraries...)
	for _, m := range c.Mounts {
		if m.Host != "" {
			shown = append(shown, m.Host)
		}
	}
	for _, host := range shown {
		if h := resolved(host); below(real, h) || below(h, real) {
			return host
		}
	}
	return ""
}

// resolved is the absolute path of a file without symbolic links; of one that is
// not there, with what of it is there.
func resolved(name string) string {
	name, err := filepath.Abs(name)
	if err != nil {
		return "/" // everything lies below it
	}
	rest := ""
	for {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			return filepath.Join(real, rest)
		} else if !os.IsNotExist(err) {
			return "/"
		}
		rest = filepath.Join(filepath.Base(name), rest)
		name = filepath.Dir(name)
	}
}

// below tells whether a path is dir or lies in it.
func below(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}
