package toolchaintests

import (
	"strings"
	"testing"
)

// TestNative keeps the cases themselves honest: built natively each one runs
// twice with the same result, and finds nothing wrong with itself.
func TestNative(t *testing.T) {
	needMusl(t)
	if testing.Short() {
		t.Skip("compares native runs with each other; not with -short")
	}
	for _, c := range readCases(t) {
		if c.skipNative {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, opt := range c.opt {
				for _, link := range c.link {
					out := c.build(t, native(), opt, link)
					first, second := c.runNative(t, out), c.runNative(t, out)
					if first != second {
						t.Errorf("%s %s: two runs differ: %d and %d, %s", opt, link, first.status, second.status, difference(first.stdout, second.stdout))
					}
					if strings.Contains(first.stdout, "not so:") {
						t.Errorf("%s %s: %s", opt, link, head(first.stdout))
					}
					if testing.Verbose() {
						t.Logf("%s %s: status %d\n%s", opt, link, first.status, head(first.stdout))
					}
				}
			}
		})
	}
}
