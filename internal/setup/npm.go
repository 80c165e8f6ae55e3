package setup

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
)

// npmPackage is an engine build that npm can fetch.
type npmPackage struct {
	name      string
	integrity string // "sha512-" and the base64 of the archive's digest
}

const npmVersion = "3.21.1" // llama.cpp v0.4.0

// npmPackages are the builds by GOOS/GOARCH.
var npmPackages = map[string]npmPackage{
	"linux/amd64":   {"@node-llama-cpp/linux-x64", "sha512-Totj6RTDMGo3FoK2yNUaz/oGmZD0olAqTrRluFUWmu0kW2i9TOzHSW0OWCAiGkzRCVX0WsU2CyUQo/W2NYtdPA=="},
	"linux/arm64":   {"@node-llama-cpp/linux-arm64", "sha512-eI3anSEGzJiwF2rpMpZVTdHzw47LztbvfvuRzlu/fPO18ROnBOd+75RPUBlV6qENPpmNtbov85+3VODwEwBurg=="},
	"darwin/arm64":  {"@node-llama-cpp/mac-arm64-metal", "sha512-6MIDAZV7DXD9R1+jEXWJkFuolni3GATGE6mmuyFYc6ZmtOh9djAy15df0T0AXK3sCmVKL+fQcOAWZezxx4MvQQ=="},
	"darwin/amd64":  {"@node-llama-cpp/mac-x64", "sha512-Q4nyNmbcNiKygBZQZjX+qLk2w3YzoiFpLWsxNURQN7xjyUi2p2rWxjRa7Otg0FrjGf/ri4aQ+X3Uj5Y0zD06eg=="},
	"windows/amd64": {"@node-llama-cpp/win-x64", "sha512-JcIpCnra7bAd7JNWA8ehdn2DIRaTMuj+fBC8bw+5rKSNzszWFbuj2XA05c5QHovonDMBLN1ePXE/hcfZtzXoUQ=="},
	"windows/arm64": {"@node-llama-cpp/win-arm64", "sha512-/UDR7Y0B8iKfc/tqxBmWkcgRdZQ9Wrkwod7fYl4J6iZXcTIj286RkHvZSED7VMY67TrcUXVvxJVMNFtmjeYnDg=="},
}

// npmForHere returns the package for this machine; its name is empty where
// there is none.
func npmForHere() npmPackage { return npmPackages[runtime.GOOS+"/"+runtime.GOARCH] }

// fetch lets npm fetch the package into temp and unpacks it into dir.
func (pkg npmPackage) fetch(ctx context.Context, temp, dir string, env []string, p Progress) error {
	if pkg.name == "" {
		return fmt.Errorf("there is no package for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	c := command{dir: temp, env: env, args: []string{"npm", "pack", pkg.name + "@" + npmVersion,
		"--pack-destination", temp, "--ignore-scripts", "--loglevel=error",
		// Without a network npm's own defaults wait for more than a minute.
		"--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"}}
	if _, err := c.run(ctx, p); err != nil {
		return err
	}
	archive, err := onlyFile(temp, "*.tgz")
	if err != nil {
		return err
	}
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := checkIntegrity(ctx, f, pkg.integrity); err != nil {
		return err
	}
	if err := unpackEngine(ctx, f, dir, maxUnpacked); err != nil {
		return err
	}
	return linkLibraries(dir)
}

// checkIntegrity compares the digest of f and leaves f at its beginning.
func checkIntegrity(ctx context.Context, f io.ReadSeeker, want string) error {
	h := sha512.New()
	if _, err := io.Copy(h, counted(ctx, f, Silent{})); err != nil {
		return err
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%w: got %s, want %s", ErrDigest, got, want)
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// onlyFile returns the one file in dir that matches pattern.
func onlyFile(dir, pattern string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("the client left %d files %s, want 1", len(found), pattern)
	}
	return found[0], nil
}

// versioned matches a library that carries its version in its name, such as
// libllama.v0.4.0.so or libggml.metal.v0.4.0.dylib.
var versioned = regexp.MustCompile(`^((?:lib)?(?:llama|ggml))(?:\.[a-z]+)?\.v\d+\.\d+\.\d+(\.(?:so|dylib|dll))$`)

// linkLibraries gives the versioned libraries in dir the plain names by which
// the engine is loaded.
func linkLibraries(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		m := versioned.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		if err := link(dir, e.Name(), m[1]+m[2]); err != nil {
			return err
		}
	}
	return nil
}

// link makes a symbolic link, or on Windows, where those need a privilege, a
// hard link: both names must be one module to the loader.
func link(dir, target, name string) error {
	if runtime.GOOS == "windows" {
		return os.Link(filepath.Join(dir, target), filepath.Join(dir, name))
	}
	return os.Symlink(target, filepath.Join(dir, name))
}
