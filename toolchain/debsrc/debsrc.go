// Package debsrc fetches Debian source packages with the machine's own apt,
// as any user and without touching the system: it derives deb-src entries
// from the machine's binary entries and runs apt with state, cache and
// source lists of its own. apt verifies the archive's signatures and
// checksums exactly as it does for packages.
//
// Invariant: a directory of a fetched package is complete and its files are
// those that the signed index names; nothing is used that apt did not verify.
//
// Lock order: the lock of the fetch directory is the innermost lock of the
// toolchain (see package toolchain).
//
// Not promised: a particular version. What is used is what the machine's
// Debian release offers at the first fetch, and then that same copy until
// Options.Refresh asks for a new look.
package debsrc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/halite-run/halite/toolchain"
)

// Source is a fetched source package.
type Source struct {
	Package string
	Version string // as Debian numbers it
	Dsc     string // path of the .dsc file; the others lie beside it
}

// Options says how to fetch.
type Options struct {
	Refresh bool                             // ask the archive even if a version is here
	Log     func(format string, args ...any) // progress; may be nil
}

func (o Options) log(format string, args ...any) {
	if o.Log != nil {
		o.Log(format, args...)
	}
}

// fetcher is one fetch: the directories and the apt configuration in them.
type fetcher struct {
	dir  string // cache/debsrc
	conf string
	opts Options
}

// Fetch returns the source package: the newest one that is here already, or
// the newest that the archive has.
func Fetch(ctx context.Context, pkg string, o Options) (Source, error) {
	cache, err := toolchain.Cache()
	if err != nil {
		return Source{}, err
	}
	f := &fetcher{dir: filepath.Join(cache, "debsrc"), opts: o}
	if !o.Refresh {
		if s, ok := f.present(pkg); ok {
			return s, nil
		}
	}
	if _, err := toolchain.Tools("apt-get", "dpkg-source"); err != nil {
		return Source{}, err
	}
	unlock, err := toolchain.Lock(filepath.Join(f.dir, "lock"), func() {
		o.log("waiting for another fetch of source packages")
	})
	if err != nil {
		return Source{}, err
	}
	defer unlock()
	if !o.Refresh {
		if s, ok := f.present(pkg); ok {
			return s, nil
		}
	}
	if err := f.configure(); err != nil {
		return Source{}, err
	}
	if err := f.update(ctx, o.Refresh); err != nil {
		return Source{}, err
	}
	s, err := f.download(ctx, pkg)
	if err != nil && !o.Refresh {
		// The lists may be older than the archive's last clean-up.
		if uerr := f.update(ctx, true); uerr != nil {
			return Source{}, uerr
		}
		s, err = f.download(ctx, pkg)
	}
	return s, err
}

// Present returns the newest version of a package that was fetched before.
func Present(pkg string) (Source, bool) {
	cache, err := toolchain.Cache()
	if err != nil {
		return Source{}, false
	}
	return (&fetcher{dir: filepath.Join(cache, "debsrc")}).present(pkg)
}

func (f *fetcher) present(pkg string) (Source, bool) {
	found, _ := filepath.Glob(filepath.Join(f.dir, "pool", pkg, "*", "*.dsc"))
	var best Source
	var bestTime time.Time
	for _, dsc := range found {
		st, err := os.Stat(dsc)
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		dir := filepath.Dir(dsc)
		if st, err = os.Stat(dir); err == nil && st.ModTime().After(bestTime) {
			bestTime = st.ModTime()
			best = Source{Package: pkg, Version: unescape(filepath.Base(dir)), Dsc: dsc}
		}
	}
	return best, best.Dsc != ""
}

// configure writes the apt configuration and the source entries.
func (f *fetcher) configure() error {
	apt := filepath.Join(f.dir, "apt")
	for _, sub := range []string{"lists/partial", "archives/partial", "sources.list.d", "state"} {
		if err := os.MkdirAll(filepath.Join(apt, sub), 0o755); err != nil {
			return err
		}
	}
	entries, err := machineEntries("/etc/apt", codename("/etc/os-release"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(apt, "sources.list.d", "halite.sources"), []byte(formatEntries(entries)), 0o644); err != nil {
		return err
	}
	// The machine's own configuration is read first (proxies, credentials);
	// this one, given with -c, is read after it. Hooks are cleared: they are
	// about the system's lists, which this run does not touch.
	conf := fmt.Sprintf(`Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts %q;
Dir::State::lists %q;
Dir::Cache %q;
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "root";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
`, filepath.Join(apt, "sources.list.d"), filepath.Join(apt, "lists"), apt)
	f.conf = filepath.Join(apt, "apt.conf")
	return os.WriteFile(f.conf, []byte(conf), 0o644)
}

// update brings the indexes, unless they are here and not stale.
func (f *fetcher) update(ctx context.Context, force bool) error {
	stamp := filepath.Join(f.dir, "apt", "updated")
	if st, err := os.Stat(stamp); err == nil && !force && time.Since(st.ModTime()) < 24*time.Hour {
		return nil
	}
	f.opts.log("reading the index of Debian source packages")
	if out, err := f.run(ctx, f.dir, "apt-get", "-q", "update", "-o", "APT::Update::Error-Mode=any"); err != nil {
		return fmt.Errorf("apt-get update for source packages failed (is this machine offline?):\n%s", lastLines(out, 12))
	}
	return os.WriteFile(stamp, nil, 0o644)
}

// download fetches the newest version, or the next older ones when a file of
// the newest can't be had (mirrors are not always complete).
func (f *fetcher) download(ctx context.Context, pkg string) (Source, error) {
	versions, err := f.versions(ctx, pkg)
	if err != nil {
		return Source{}, err
	}
	var failures []string
	for _, version := range versions {
		s, err := f.downloadVersion(ctx, pkg, version)
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			return Source{}, ctx.Err()
		}
		f.opts.log("%s %s can't be fetched", pkg, version)
		failures = append(failures, err.Error())
	}
	return Source{}, errors.New(strings.Join(failures, "\n"))
}

// versions lists what the indexes offer, newest first.
func (f *fetcher) versions(ctx context.Context, pkg string) ([]string, error) {
	out, err := f.run(ctx, f.dir, "apt-cache", "showsrc", "--only-source", pkg)
	var versions []string
	seen := map[string]bool{}
	for _, line := range strings.Split(out, "\n") {
		if v, ok := strings.CutPrefix(line, "Version: "); ok && !seen[v] {
			seen[v] = true
			versions = append(versions, v)
		}
	}
	if len(versions) == 0 {
		return nil, fmt.Errorf("source package %s: not in this machine's Debian release (%v)", pkg, err)
	}
	sort.SliceStable(versions, func(i, j int) bool {
		return exec.Command("dpkg", "--compare-versions", versions[i], "gt", versions[j]).Run() == nil
	})
	return versions, nil
}

func (f *fetcher) downloadVersion(ctx context.Context, pkg, version string) (Source, error) {
	f.opts.log("fetching source package %s %s", pkg, version)
	dest := filepath.Join(f.dir, "pool", pkg, escape(version))
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return Source{}, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dest), ".fetch-")
	if err != nil {
		return Source{}, err
	}
	defer os.RemoveAll(tmp)
	out, err := f.run(ctx, tmp, "apt-get", "-q", "source", "--download-only", "--only-source", pkg+"="+version)
	if err != nil {
		return Source{}, fmt.Errorf("source package %s %s: apt-get source failed:\n%s", pkg, version, lastLines(out, 8))
	}
	dsc, _ := filepath.Glob(filepath.Join(tmp, "*.dsc"))
	if len(dsc) != 1 {
		return Source{}, fmt.Errorf("source package %s %s: apt-get brought %d .dsc files", pkg, version, len(dsc))
	}
	if err := os.RemoveAll(dest); err != nil {
		return Source{}, err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return Source{}, err
	}
	if err := os.Rename(tmp, dest); err != nil {
		return Source{}, err
	}
	return Source{Package: pkg, Version: version, Dsc: filepath.Join(dest, filepath.Base(dsc[0]))}, nil
}

// Extract unpacks the package, Debian's patches applied, into dir, which must
// not exist.
func (s Source) Extract(ctx context.Context, dir string) error {
	path, err := toolchain.Tool("dpkg-source")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, "-x", s.Dsc, dir)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack %s: %w\n%s", s.Dsc, err, lastLines(string(out), 8))
	}
	return nil
}

// run executes an apt program with our configuration and returns what it said.
func (f *fetcher) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, append([]string{"-c", f.conf}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// A version may hold ':' and '~', which are legal in file names, but a colon
// breaks search paths and make rules.
func escape(version string) string   { return strings.ReplaceAll(version, ":", "%3a") }
func unescape(version string) string { return strings.ReplaceAll(version, "%3a", ":") }

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
