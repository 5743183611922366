package toolchaintests

import (
	"strings"
	"testing"
)

// TestPrograms compares each case of testdata with its native build.
func TestPrograms(t *testing.T) {
	needMusl(t)
	for _, c := range readCases(t) {
		if testing.Short() && !c.short {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, opt := range c.opt {
				for _, link := range c.link {
					name := strings.Trim(strings.TrimPrefix(opt, "-")+"-"+link, "-")
					if len(c.opt)*len(c.link) == 1 {
						c.check(t, opt, link)
					} else {
						t.Run(name, func(t *testing.T) { c.check(t, opt, link) })
					}
				}
			}
		})
	}
}

func (c *testCase) check(t *testing.T, opt, link string) {
	t.Helper()
	var want result
	if !c.skipNative {
		want = c.runNative(t, c.build(t, native(), opt, link))
	}
	if c.status != nil {
		want.status = *c.status
	}
	if c.stdout != nil {
		want.stdout = *c.stdout
	}
	out := c.build(t, sandbox(), opt, link)
	c.verify(t, out)
	got := c.runSandbox(t, out)
	if got.status != want.status {
		t.Errorf("exit status %d, natively %d", got.status, want.status)
	}
	if got.stdout != want.stdout {
		t.Errorf("standard output differs: %s", difference(got.stdout, want.stdout))
	}
	if c.stderr != nil {
		if !c.stderr.MatchString(got.stderr) {
			t.Errorf("standard error does not contain %s", c.stderr)
		}
	} else if got.stderr != want.stderr {
		t.Errorf("standard error differs: %s", difference(got.stderr, want.stderr))
	}
	if t.Failed() && got.stderr != "" {
		t.Logf("standard error:\n%s", head(got.stderr))
	}
}
