//go:build cgo

package couchdrop

import (
	"archive/zip"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const module = "libcouchdrop.invalid/couchdrop"

// program is what a user of the module writes.
const program = `package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"` + module + `"
)

func main() {
	_, err := couchdrop.Authenticate(context.Background(), couchdrop.Credentials{Username: "ada"})
	if !errors.Is(err, couchdrop.ErrEmptyArgument) {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("libcouchdrop", couchdrop.Version())
}
`

// outside is a user's module in a folder of its own, with its own cache of modules.
type outside struct {
	t           *testing.T
	folder      string
	environment []string
}

// run returns what a command says, and whether it succeeds.
func (o *outside) run(environment []string, name string, arguments ...string) (string, bool) {
	o.t.Helper()
	command := exec.Command(name, arguments...)
	command.Dir = filepath.Join(o.folder, "user")
	command.Env = append(append(os.Environ(), o.environment...), environment...)
	output, err := command.CombinedOutput()
	return string(output), err == nil
}

func (o *outside) mustRun(environment []string, name string, arguments ...string) {
	o.t.Helper()
	if output, ok := o.run(environment, name, arguments...); !ok {
		o.t.Fatalf("%s %s: %s", name, strings.Join(arguments, " "), output)
	}
}

// mustSay runs a command that must fail with these words.
func (o *outside) mustSay(words string, environment []string, name string, arguments ...string) {
	o.t.Helper()
	if output, ok := o.run(environment, name, arguments...); ok || !strings.Contains(output, words) {
		o.t.Errorf("%s %s does not say %q, but: %s", name, strings.Join(arguments, " "), words, output)
	}
}

// mustWork runs the program.
func (o *outside) mustWork(environment []string) {
	o.t.Helper()
	output, ok := o.run(environment, filepath.Join(o.folder, "user", "program"))
	if want := "libcouchdrop " + Version() + "\n"; !ok || output != want {
		o.t.Errorf("the program says %q, not %q", output, want)
	}
}

// needs reports whether the program needs the shared library.
func (o *outside) needs() bool {
	o.t.Helper()
	file, err := elf.Open(filepath.Join(o.folder, "user", "program"))
	if err != nil {
		o.t.Fatal(err)
	}
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	if err != nil {
		o.t.Fatal(err)
	}
	return strings.Contains(strings.Join(libraries, " "), "libcouchdrop.so")
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	if testing.Short() {
		t.Skip("builds programs")
	}
	folder := t.TempDir()
	must(t, os.Mkdir(filepath.Join(folder, "user"), 0o755))
	write(t, filepath.Join(folder, "user", "main.go"), program)
	write(t, filepath.Join(folder, "user", "go.mod"), "module user\n\ngo 1.19\n")
	return &outside{t, folder, []string{
		"GOFLAGS=-modcacherw", "GOMODCACHE=" + filepath.Join(folder, "modules"), "GOPROXY=off", "GOSUMDB=off",
		"GOPRIVATE=", "GONOPROXY=", "GOWORK=off", "GOEXPERIMENT=", "GOTOOLCHAIN=local",
	}}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// publish puts this module, as a release holds it, into a folder that go takes for a proxy.
func publish(t *testing.T, proxy string) {
	t.Helper()
	versions := filepath.Join(proxy, module, "@v")
	goMod, err := os.ReadFile("go.mod")
	must(t, err)
	write(t, filepath.Join(versions, "list"), "v1.0.0\n")
	write(t, filepath.Join(versions, "v1.0.0.info"), `{"Version":"v1.0.0"}`)
	write(t, filepath.Join(versions, "v1.0.0.mod"), string(goMod))
	file, err := os.Create(filepath.Join(versions, "v1.0.0.zip"))
	must(t, err)
	defer file.Close()
	archive := zip.NewWriter(file)
	must(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		member, err := archive.Create(module + "@v1.0.0/" + filepath.ToSlash(path))
		if err != nil {
			return err
		}
		_, err = member.Write(content)
		return err
	}))
	must(t, archive.Close())
}

func TestGoGetGivesAProgramThatNeedsNoLibrary(t *testing.T) {
	t.Parallel()
	user := newOutside(t)
	proxy := filepath.Join(user.folder, "proxy")
	publish(t, proxy)
	user.mustRun([]string{"GOPROXY=file://" + proxy}, "go", "get", module+"@v1.0.0")
	// From here on there is no proxy.
	user.mustRun(nil, "go", "mod", "vendor")
	user.mustSay("couchdrop_needs_cgo__install_a_C_compiler_and_build_with_CGO_ENABLED_1", []string{"CGO_ENABLED=0"}, "go", "build", "-o", "program")

	platform := runtime.GOOS + "_" + runtime.GOARCH
	archive := filepath.Join(user.folder, "user", "vendor", module, "lib", platform, "libcouchdrop.a")
	must(t, os.Rename(archive, archive+".away"))
	user.mustSay("run `make lib`", nil, "go", "build", "-o", "program")
	must(t, os.Rename(archive+".away", archive))
	user.mustRun(nil, "go", "build", "-o", "program")
	user.mustWork([]string{"LD_LIBRARY_PATH="})
	if user.needs() {
		t.Error("the program needs the shared library")
	}
}

func TestTheSystemsLibraryIsFoundByPkgConfig(t *testing.T) {
	t.Parallel()
	stage, err := filepath.Abs("../../target/stage/lib")
	must(t, err)
	if _, err := os.Stat(filepath.Join(stage, "pkgconfig", "couchdrop.pc")); err != nil {
		lacking(t, "no library is staged in the project's target folder (`make lib`)")
	}
	if _, err := exec.LookPath("pkg-config"); err != nil {
		lacking(t, "there is no pkg-config")
	}
	user := newOutside(t)
	here, err := filepath.Abs(".")
	must(t, err)
	user.mustRun(nil, "go", "mod", "edit", "-require="+module+"@v1.0.0", "-replace="+module+"="+here)
	user.mustRun([]string{"PKG_CONFIG_PATH=" + filepath.Join(stage, "pkgconfig")}, "go", "build", "-tags", "couchdrop_dynamic", "-o", "program")
	user.mustWork([]string{"LD_LIBRARY_PATH=" + stage})
	if !user.needs() {
		t.Error("the program does not use the shared library")
	}
}

func TestAnotherPlatformIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	user := newOutside(t)
	here, err := filepath.Abs("link_unsupported.go")
	must(t, err)
	// The whole build would need a compiler for that platform.
	user.mustSay("build with -tags couchdrop_dynamic", []string{"GOARCH=ppc64le"}, "go", "tool", "cgo", "-objdir", user.folder, here)
}
