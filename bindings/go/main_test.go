//go:build cgo

package couchdrop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const password = "correct horse battery staple"

// notLoopback is a base URL for proxy tests, because loopback bypasses proxies. No test looks up its host.
const notLoopback = "https://couchdrop.invalid"

// service holds the addresses of the fake server.
var service struct{ https, http, caFile string }

// skipOrFail skips a test because something is missing. If CI is set, the test fails instead.
func skipOrFail(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	stop, err := findFakeServer()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop()
	return m.Run()
}

// findFakeServer uses the fake server that already runs (scripts/with-fake-server), or starts one. stop ends the started one.
func findFakeServer() (stop func(), err error) {
	service.https, service.http = os.Getenv("COUCHDROP_BASE_URL"), os.Getenv("COUCHDROP_HTTP_URL")
	service.caFile = os.Getenv("COUCHDROP_CA_FILE")
	if service.https != "" && service.http != "" && service.caFile != "" {
		return func() {}, nil
	}
	path := os.Getenv("COUCHDROP_FAKE_SERVER")
	if path == "" {
		path = "../../target/debug/fake_server"
	}
	command := exec.Command(path, "--until-eof")
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("no fake server (`cargo build -p couchdrop-fake-server`, or set COUCHDROP_FAKE_SERVER): %w", err)
	}
	lines := bufio.NewScanner(output)
	for _, value := range []struct {
		name string
		into *string
	}{{"https", &service.https}, {"http", &service.http}, {"ca", &service.caFile}} {
		lines.Scan()
		name, text, found := strings.Cut(lines.Text(), " ")
		if !found || name != value.name {
			return nil, fmt.Errorf("the fake server printed %q instead of its address", lines.Text())
		}
		*value.into = text
	}
	return func() {
		input.Close()
		for lines.Scan() {
		}
		_ = command.Wait()
	}, nil
}

// newClient returns a client of the fake server over TLS with a back-off of 1 ms.
func newClient(t testing.TB, options ...Option) *Client {
	t.Helper()
	first := []Option{WithBaseURL(service.https), WithCAFile(service.caFile), WithBackoff(time.Millisecond, time.Millisecond)}
	client, err := NewClient(append(first, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func account(name string) Credentials {
	return Credentials{Username: name + "@example.com", Password: NewSecret(password), System: "go test"}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// silentServer accepts connections and never responds. It reports each request whose header it received.
func silentServer(t testing.TB) (url string, requests <-chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 10000)
	var open sync.WaitGroup
	open.Add(1)
	// Cleanups run in reverse order: the client, which is created later, is closed before this waits.
	t.Cleanup(func() { listener.Close(); open.Wait() })
	go func() {
		defer open.Done()
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			open.Add(1)
			go func() {
				defer open.Done()
				defer connection.Close()
				if _, err := http.ReadRequest(bufio.NewReader(connection)); err == nil {
					asked <- struct{}{}
				}
				_, _ = io.Copy(io.Discard, connection)
			}()
		}
	}()
	return "http://" + listener.Addr().String(), asked
}
