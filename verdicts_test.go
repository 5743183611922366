package halite

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestVerdictCacheShown: a guest that is shown the directory, or something in it
// or above it, could read the key. Such a configuration is refused.
func TestVerdictCacheShown(t *testing.T) {
	dir := t.TempDir()
	cache := filepath.Join(dir, "cache", "verdicts")
	for _, d := range []string{"cache", "cache/verdicts2", "other"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range [][2]string{{"cache", "link"}, {"cache/verdicts", "link2"}} {
		if err := os.Symlink(filepath.Join(dir, l[0]), filepath.Join(dir, l[1])); err != nil {
			t.Fatal(err)
		}
	}
	for host, shown := range map[string]bool{
		".": true, "cache": true, "cache/verdicts": true, "cache/verdicts/key": true, "link": true, "link/verdicts": true,
		"link2": true, "other/../cache": true, "/": true, "other": false, "cache/verdicts2": false,
	} {
		if host[0] != '/' {
			host = filepath.Join(dir, host)
		}
		for _, c := range []Config{
			{Mounts: []Mount{{Guest: "/x", Host: host, ReadOnly: true}}},
			{Mounts: []Mount{{Guest: "/tmp"}, {Guest: "/x", Host: host}}},
			{Libraries: []string{host}},
		} {
			c.VerdictCache = cache
			v, err := verdictsOf(&c)
			var refused *VerdictCacheError
			if errors.As(err, &refused) != shown || (v == nil) != shown {
				t.Errorf("%s shown: %v", host, err)
			}
			if shown && refused != nil && refused.Shown != host {
				t.Errorf("%s shown: the error names %q", host, refused.Shown)
			}
		}
	}
	if err := os.Chmod(cache, 0o777); err != nil {
		t.Fatal(err)
	}
	verdicts.mu.Lock()
	verdicts.open = nil
	verdicts.mu.Unlock()
	var refused *VerdictCacheError
	if _, err := New(Config{Program: "/bin/true", VerdictCache: cache}); !errors.As(err, &refused) || refused.Err == nil {
		t.Errorf("a directory that anybody can write: %v", err)
	}
}
