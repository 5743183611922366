package debsrc

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// entry is one archive of Debian's own, in the terms of sources.list(5).
type entry struct {
	uris   string
	suites []string
	extra  []string // further deb822 fields that decide trust: Signed-By and so on
}

// keep names the options of a binary entry that say whom to trust; they hold
// for the source entry as well. Architectures and targets do not.
var keep = map[string]string{
	"signed-by":         "Signed-By",
	"trusted":           "Trusted",
	"check-valid-until": "Check-Valid-Until",
	"allow-insecure":    "Allow-Insecure",
	"allow-weak":        "Allow-Weak",
}

// codename returns the release's name as os-release(5) gives it.
func codename(osRelease string) string {
	data, err := os.ReadFile(osRelease)
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(data), "\n") {
		if v, ok := strings.CutPrefix(line, "VERSION_CODENAME="); ok {
			return strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return ""
}

// machineEntries collects the machine's entries for the Debian release itself:
// component main of the release, its updates and its security archive.
// Archives of others are left out: they have other suites or components.
func machineEntries(etcApt, release string) ([]entry, error) {
	files := []string{filepath.Join(etcApt, "sources.list")}
	for _, pattern := range []string{"*.list", "*.sources"} {
		more, _ := filepath.Glob(filepath.Join(etcApt, "sources.list.d", pattern))
		sort.Strings(more)
		files = append(files, more...)
	}
	var found []entry
	for _, file := range files {
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(file, ".sources") {
			found = append(found, parseDeb822(string(data), release)...)
		} else {
			found = append(found, parseOneLine(string(data), release)...)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no entry for Debian %q main in %s/sources.list or sources.list.d; source packages can't be located", release, etcApt)
	}
	return found, nil
}

// ofRelease keeps the suites that belong to the release.
func ofRelease(suites []string, release string) []string {
	var kept []string
	for _, s := range suites {
		name := strings.TrimSuffix(s, "/")
		base, _, _ := strings.Cut(name, "/")
		for _, suffix := range []string{"-updates", "-security", "-proposed-updates"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if base == release && release != "" || base == "stable" {
			kept = append(kept, s)
		}
	}
	return kept
}

func has(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}

// parseOneLine reads the older format: deb [option=value ...] uri suite component...
func parseOneLine(data, release string) []entry {
	var found []entry
	for _, line := range strings.Split(data, "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != "deb" && fields[0] != "deb-src" {
			continue
		}
		fields = fields[1:]
		var e entry
		if strings.HasPrefix(fields[0], "[") {
			var options []string
			for len(fields) > 0 {
				f := fields[0]
				fields = fields[1:]
				options = append(options, strings.Fields(strings.Trim(f, "[]"))...)
				if strings.HasSuffix(f, "]") {
					break
				}
			}
			for _, o := range options {
				name, value, _ := strings.Cut(o, "=")
				if field, ok := keep[strings.ToLower(name)]; ok {
					e.extra = append(e.extra, field+": "+strings.ReplaceAll(value, ",", " "))
				}
			}
		}
		if len(fields) < 3 || strings.HasPrefix(fields[0], "cdrom:") || !has(fields[2:], "main") {
			continue
		}
		e.uris = fields[0]
		if e.suites = ofRelease(fields[1:2], release); e.suites != nil {
			found = append(found, e)
		}
	}
	return found
}

// parseDeb822 reads the newer format: stanzas of fields.
func parseDeb822(data, release string) []entry {
	var found []entry
	for _, stanza := range splitStanzas(data) {
		if strings.EqualFold(strings.TrimSpace(stanza["enabled"]), "no") || !has(strings.Fields(stanza["components"]), "main") {
			continue
		}
		types := strings.Fields(stanza["types"])
		if !has(types, "deb") && !has(types, "deb-src") {
			continue
		}
		e := entry{uris: strings.Join(strings.Fields(stanza["uris"]), " ")}
		e.suites = ofRelease(strings.Fields(stanza["suites"]), release)
		if e.uris == "" || e.suites == nil {
			continue
		}
		var names []string
		for name := range keep {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			if value, ok := stanza[name]; ok {
				e.extra = append(e.extra, keep[name]+":"+value)
			}
		}
		found = append(found, e)
	}
	return found
}

// splitStanzas returns the fields of each stanza by lower-case name. A value
// keeps its line structure: an embedded key in Signed-By needs it.
func splitStanzas(data string) []map[string]string {
	var all []map[string]string
	var current map[string]string
	last := ""
	scan := bufio.NewScanner(strings.NewReader(data))
	for scan.Scan() {
		line := scan.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			current, last = nil, ""
		case line[0] == ' ' || line[0] == '\t':
			if current != nil && last != "" {
				current[last] += "\n" + line
			}
		default:
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				continue
			}
			if current == nil {
				current = map[string]string{}
				all = append(all, current)
			}
			last = strings.ToLower(strings.TrimSpace(name))
			current[last] = value
		}
	}
	return all
}

// formatEntries writes deb-src entries in the newer format. Doubled ones
// (deb and deb-src lines of one archive) are merged.
func formatEntries(entries []entry) string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, e := range entries {
		for _, suite := range e.suites {
			if key := e.uris + " " + suite; seen[key] {
				continue
			} else {
				seen[key] = true
			}
			fmt.Fprintf(&b, "Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\n", e.uris, suite)
			for _, x := range e.extra {
				fmt.Fprintln(&b, x)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
