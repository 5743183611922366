package ports

import "path/filepath"

func openssl(c Compiler) *port { return recipe("openssl", "openssl.go", "openssl", c, buildOpenssl) }

func buildOpenssl(j *job) error {
	// no-asm: its assembly is written for a stack pointer that a sandbox does
	// not have. no-async: musl has no makecontext. The rest is what nobody
	// in a domain can use.
	env := append(j.toolEnv(), "CFLAGS="+optimize)
	err := j.run(j.src, env, filepath.Join(j.src, "Configure"), "linux-x86_64", "--prefix=/usr", "--libdir=lib", "--openssldir=/usr/lib/ssl",
		"shared", "no-asm", "no-async", "no-tests", "no-engine", "no-afalgeng", "no-ssl3", "no-zlib", "no-dtls", "no-sctp",
		"enable-ec_nistp_64_gcc_128")
	if err != nil {
		return err
	}
	// The static libraries, which build_libs makes too, would double the time.
	if err := j.make("build_generated"); err != nil {
		return err
	}
	if err := j.make("libcrypto.so", "libssl.so", "providers/legacy.so"); err != nil {
		return err
	}
	dest := filepath.Join(j.work, "dest", "usr")
	script := `set -e; mkdir -p "$1/lib" "$1/include"; cp -a libcrypto.so* libssl.so* "$1/lib/"; cp -a include/openssl "$1/include/"
rm -f "$1"/include/openssl/*.in`
	if err := j.run(j.src, nil, "sh", "-c", script, "sh", dest); err != nil {
		return err
	}
	if err := j.takeLibraries(dest); err != nil {
		return err
	}
	if err := j.put("lib/ossl-modules", 0o755, filepath.Join(j.src, "providers", "legacy.so")); err != nil {
		return err
	}
	return j.put("lib/ssl", 0o644, filepath.Join(j.src, "apps", "openssl.cnf"))
}
