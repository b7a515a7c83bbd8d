//go:build cgo && !asan

package couchdrop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestEnvironmentIsReadUntilTheFirstLogin(t *testing.T) {
	client, err := NewClient(WithBaseURL(service.https))
	must(t, err)
	defer client.Close()
	for i := 0; i < 2; i++ {
		t.Setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
		if _, err := client.Authenticate(context.Background(), account("ada")); !errors.Is(err, ErrTLS) {
			t.Error(err)
		}
	}
	t.Setenv("SSL_CERT_FILE", service.caFile)
	must(t, client.Connect(context.Background()))
	// It froze the client.
	t.Setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
	if _, err := client.Authenticate(context.Background(), account("ada")); err != nil {
		t.Error(err)
	}
}

func TestEnvironmentValueTooLongIsRefused(t *testing.T) {
	t.Setenv("NO_PROXY", strings.Repeat("a", 65<<10))
	client := newClient(t)
	if _, err := client.Authenticate(context.Background(), account("ada")); !errors.Is(err, ErrOutOfRange) {
		t.Error(err)
	}
	if len(client.turns) != 0 {
		t.Error("its slot was not given back")
	}
	t.Setenv("NO_PROXY", "")
	if _, err := client.Authenticate(context.Background(), account("ada")); err != nil {
		t.Error(err)
	}
}

// The library's getenv crashed the process here.
func TestSetenvDuringFirstLoginsIsSafe(t *testing.T) {
	stop := make(chan struct{})
	var group sync.WaitGroup
	for i := 0; i < 2; i++ {
		prefix := fmt.Sprintf("COUCHDROP_TEST_%d_", i)
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				// New names make C move its array, and removing them leaves gaps.
				name := fmt.Sprint(prefix, n%200)
				os.Setenv(name, strings.Repeat("x", n%1000))
				if n%3 == 0 {
					os.Unsetenv(name)
				}
			}
		}()
	}
	for i := 0; i < 300; i++ {
		client, err := NewClient(WithBaseURL(service.http))
		must(t, err)
		if _, err := client.Authenticate(context.Background(), account("ada")); err != nil {
			t.Error(err)
		}
		client.Close()
	}
	close(stop)
	group.Wait()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "COUCHDROP_TEST_") {
			os.Unsetenv(name)
		}
	}
}

// otherEnvironment gives C variables that Go does not know of: Go reads those that the process began with.
const otherEnvironment = `
#include <stdlib.h>
__attribute__((constructor)) static void set(void) {
	setenv("https_proxy", "ftp://localhost", 1);
	setenv("SSL_CERT_FILE", "/nowhere/ca.pem", 1);
}
`

func TestEnvironmentOfCIsNotRead(t *testing.T) {
	const isChild = "COUCHDROP_TEST_IS_CHILD"
	if os.Getenv(isChild) != "" {
		readGosEnvironmentAlone(t)
		return
	}
	compiler, err := exec.LookPath("cc")
	if err != nil {
		lacking(t, "there is no cc")
	}
	library := filepath.Join(t.TempDir(), "other_environment.so")
	compile := exec.Command(compiler, "-shared", "-fPIC", "-x", "c", "-o", library, "-")
	compile.Stdin = strings.NewReader(otherEnvironment)
	if output, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), isChild+"=1", "LD_PRELOAD="+library, "HTTPS_PROXY=ftp://localhost",
		"SSL_CERT_FILE="+service.caFile, "COUCHDROP_BASE_URL="+service.https, "COUCHDROP_HTTP_URL="+service.http,
		"COUCHDROP_CA_FILE="+service.caFile)
	output, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %s", err, output)
	}
}

// readGosEnvironmentAlone runs in a process whose two environments differ.
func readGosEnvironmentAlone(t *testing.T) {
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	if !strings.Contains(string(maps), "other_environment.so") {
		t.Fatal("the other environment was not loaded")
	}
	client, err := NewClient(WithBaseURL(notLoopback))
	must(t, err)
	defer client.Close()
	ctx := context.Background()
	for name, call := range map[string]func() error{
		"Client.Authenticate": func() error { _, err := client.Authenticate(ctx, account("ada")); return err },
		"Client.Connect":      func() error { return client.Connect(ctx) },
		"Authenticate":        func() error { _, err := Authenticate(ctx, account("ada")); return err },
		"Authenticate with options": func() error {
			_, err := Authenticate(ctx, account("ada"), WithBaseURL(notLoopback))
			return err
		},
	} {
		// The error names the variable, and the library prefers C's.
		if err := call(); !errors.Is(err, ErrProxy) || !strings.Contains(err.Error(), "HTTPS_PROXY") {
			t.Errorf("%s: is not of Go's HTTPS_PROXY but: %v", name, err)
		}
	}
	trusting, err := NewClient(WithBaseURL(service.https))
	must(t, err)
	defer trusting.Close()
	if _, err := trusting.Authenticate(ctx, account("ada")); err != nil {
		t.Error(err)
	}
}
