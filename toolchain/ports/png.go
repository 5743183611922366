package ports

func png(c Compiler) *port { return recipe("libpng", "png.go", "libpng1.6", c, buildPng, zlib) }

func buildPng(j *job) error {
	needed, err := j.merged()
	if err != nil {
		return err
	}
	err = j.configure([]string{"CPPFLAGS=-I" + needed + "/include", "LDFLAGS=-L" + needed + "/lib"},
		"--disable-static", "--disable-tools", "--enable-hardware-optimizations", "--disable-unversioned-links")
	if err != nil {
		return err
	}
	// The library and its headers, not the tests.
	if err := j.make("libpng16.la"); err != nil {
		return err
	}
	return j.stage("install-libLTLIBRARIES", "install-pkgincludeHEADERS", "install-nodist_pkgincludeHEADERS")
}
