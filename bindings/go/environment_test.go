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

func TestEnvironmentIsReadUntilFirstLogin(t *testing.T) {
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
	// The first call has frozen the client's options.
	t.Setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
	if _, err := client.Authenticate(context.Background(), account("ada")); err != nil {
		t.Error(err)
	}
}

func TestSessionRejectsBadEnvironmentVariable(t *testing.T) {
	client, err := NewClient(WithBaseURL(service.https))
	must(t, err)
	defer client.Close()
	t.Setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
	if session, err := client.Session(account("ada")); session != nil || !errors.Is(err, ErrTLS) {
		t.Error(err)
	}
	t.Setenv("SSL_CERT_FILE", service.caFile)
	session := newSession(t, client)
	// The first session has frozen the client's options.
	t.Setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
	if _, err := session.Token(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestLongEnvironmentVariableIsAccepted(t *testing.T) {
	t.Setenv("NO_PROXY", strings.Repeat("a", 65<<10))
	client := newClient(t)
	if _, err := client.Authenticate(context.Background(), account("ada")); err != nil {
		t.Error(err)
	}
}

// isChild marks a child process that a test has started from its own executable.
const isChild = "COUCHDROP_TEST_IS_CHILD"

// runAsChild runs only this test in a child process, with additional environment variables.
func runAsChild(t *testing.T, variables ...string) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), isChild+"=1", "SSL_CERT_FILE="+service.caFile, "HTTPS_PROXY=ftp://localhost",
		"COUCHDROP_BASE_URL="+service.https, "COUCHDROP_HTTP_URL="+service.http, "COUCHDROP_CA_FILE="+service.caFile)
	child.Env = append(child.Env, variables...)
	output, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %.2000s", err, output)
	}
}

// Before the package passed the environment, the library's getenv crashed this test.
func TestSetenvDuringFirstLoginsIsSafe(t *testing.T) {
	if os.Getenv(isChild) == "" {
		// So many that C allocates its array as a separate mapping, which a new name may move.
		variables := make([]string, 20000)
		for i := range variables {
			variables[i] = fmt.Sprintf("COUCHDROP_TEST_%d=", i)
		}
		runAsChild(t, variables...)
		return
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	for i := 0; i < 2; i++ {
		prefix := fmt.Sprintf("COUCHDROP_TEST_NEW_%d_", i)
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					os.Setenv(fmt.Sprint(prefix, n), "x")
				}
			}
		}()
	}
	logIn := func(url string, want error) {
		client, err := NewClient(WithBaseURL(url))
		must(t, err)
		defer client.Close()
		if _, err := client.Authenticate(context.Background(), account("ada")); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	for i := 0; i < 20; i++ {
		logIn(service.https, nil)
		// These calls read the environment and then fail.
		for j := 0; j < 50; j++ {
			logIn(notLoopback, ErrProxy)
		}
	}
	close(stop)
	group.Wait()
}

// otherEnvironment sets variables in C that Go does not have, because Go reads the environment at startup.
const otherEnvironment = `
#include <stdlib.h>
__attribute__((constructor)) static void set(void) {
	setenv("https_proxy", "ftp://localhost", 1);
	setenv("SSL_CERT_FILE", "/nowhere/ca.pem", 1);
}
`

func TestEnvironmentOfCIsNotRead(t *testing.T) {
	if os.Getenv(isChild) != "" {
		checkGoEnvironmentIsUsed(t)
		return
	}
	compiler, err := exec.LookPath("cc")
	if err != nil {
		skipOrFail(t, "cc is not installed")
	}
	library := filepath.Join(t.TempDir(), "other_environment.so")
	compile := exec.Command(compiler, "-shared", "-fPIC", "-x", "c", "-o", library, "-")
	compile.Stdin = strings.NewReader(otherEnvironment)
	if output, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	runAsChild(t, "LD_PRELOAD="+library)
}

// checkGoEnvironmentIsUsed runs in a process whose C environment differs from Go's.
func checkGoEnvironmentIsUsed(t *testing.T) {
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
			t.Errorf("%s: got %v, want an error about Go's HTTPS_PROXY", name, err)
		}
	}
	trusting, err := NewClient(WithBaseURL(service.https))
	must(t, err)
	defer trusting.Close()
	if _, err := trusting.Authenticate(ctx, account("ada")); err != nil {
		t.Error(err)
	}
}
