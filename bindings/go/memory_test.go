//go:build cgo && !race && !asan

package couchdrop

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// invert returns the bitwise complement of a text, which copies does not count.
func invert(text []byte) []byte {
	inverted := make([]byte, len(text))
	for i, b := range text {
		inverted[i] = ^b
	}
	return inverted
}

// copies counts the occurrences of a text in this process's memory. The caller passes the complement of the text. Only
// the second half is searched for, because the allocator may overwrite the first half of released memory.
func copies(t *testing.T, inverted []byte) int {
	t.Helper()
	inverted = inverted[len(inverted)/2:]
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		skipOrFail(t, "this system has no /proc/self/maps")
	}
	memory, err := os.Open("/proc/self/mem")
	must(t, err)
	defer memory.Close()
	// The buffer contains copies too. It is in shared memory, which the loop skips.
	buffer, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_SHARED)
	must(t, err)
	defer func() { must(t, syscall.Munmap(buffer)) }()

	count := 0
	for _, line := range strings.Split(string(maps), "\n") {
		var start, end int64
		var access string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &access); err != nil || access != "rw-p" {
			continue
		}
		// The pieces overlap, so that the text is whole in one of them.
		for at := start; at < end; at += int64(len(buffer) - len(inverted) + 1) {
			piece := buffer
			if end-at < int64(len(piece)) {
				piece = piece[:end-at]
			}
			n, _ := memory.ReadAt(piece, at)
			count += countIn(piece[:n], inverted)
		}
	}
	return count
}

func countIn(piece, inverted []byte) int {
	count := 0
	for {
		first := bytes.IndexByte(piece, ^inverted[0])
		if first < 0 || len(piece)-first < len(inverted) {
			return count
		}
		same := 0
		for same < len(inverted) && piece[first+same] == ^inverted[same] {
			same++
		}
		if same == len(inverted) {
			count++
		}
		piece = piece[first+1:]
	}
}

func TestTokenIsInMemoryOnceUntilWiped(t *testing.T) {
	token, err := newClient(t).Authenticate(context.Background(), account("ada"))
	must(t, err)
	var inverted []byte
	token.read(func(text []byte) { inverted = invert(text) })
	if count := copies(t, inverted); count != 1 {
		t.Errorf("the token is in memory %d times", count)
	}
	token.Wipe()
	if count := copies(t, inverted); count != 0 {
		t.Errorf("after Wipe the token is in memory %d times", count)
	}
}

// randomSecret returns a secret whose text is nowhere else in memory, and the complement of the text.
func randomSecret(t *testing.T) (secret Secret, inverted []byte) {
	t.Helper()
	inverted = make([]byte, 32)
	_, err := rand.Read(inverted)
	must(t, err)
	for i, b := range inverted {
		inverted[i] = ^('a' + b%26)
	}
	text := invert(inverted)
	secret = NewSecretBytes(text)
	for i := range text {
		text[i] = 0
	}
	return secret, inverted
}

func TestPasswordIsInMemoryOnceUntilWiped(t *testing.T) {
	secret, inverted := randomSecret(t)
	client := newClient(t)
	for i := 0; i < 3; i++ {
		_, err := client.Authenticate(context.Background(), Credentials{Username: "ada@example.com", Password: secret})
		if !errors.Is(err, ErrAccessDenied) {
			t.Fatal(err)
		}
	}
	if count := copies(t, inverted); count != 1 {
		t.Errorf("the password is in memory %d times", count)
	}
	secret.Wipe()
	if count := copies(t, inverted); count != 0 {
		t.Errorf("after Wipe the password is in memory %d times", count)
	}
}

func TestSessionKeepsSecretsUntilClosed(t *testing.T) {
	secret, inverted := randomSecret(t)
	session, err := newClient(t).Session(Credentials{Username: "ada@example.com", Password: secret})
	must(t, err)
	secret.Wipe()
	if _, err := session.Token(context.Background()); !errors.Is(err, ErrAccessDenied) {
		t.Error(err)
	}
	if count := copies(t, inverted); count != 1 {
		t.Errorf("the password is in memory %d times", count)
	}
	session.Close()
	if count := copies(t, inverted); count != 0 {
		t.Errorf("after Close the password is in memory %d times", count)
	}

	session = newSession(t, newClient(t))
	token, err := session.Token(context.Background())
	must(t, err)
	token.read(func(text []byte) { inverted = invert(text) })
	for i := 0; i < 3; i++ {
		current, err := session.Renew(context.Background(), token)
		must(t, err)
		current.Wipe()
	}
	token.Wipe()
	if count := copies(t, inverted); count != 1 {
		t.Errorf("the session's token is in memory %d times", count)
	}
	session.Close()
	if count := copies(t, inverted); count != 0 {
		t.Errorf("after Close the token is in memory %d times", count)
	}
}

func TestFailuresLeakNoMemory(t *testing.T) {
	client := newClient(t)
	fail := func(calls int) {
		for i := 0; i < calls; i++ {
			if _, err := client.Authenticate(context.Background(), Credentials{Username: "ada"}); !errors.Is(err, ErrEmptyArgument) {
				t.Fatal(err)
			}
		}
	}
	fail(10000)
	before := status(t, "RssAnon")
	fail(50000)
	// An error object has more than 100 bytes.
	if grown := status(t, "RssAnon") - before; grown > 2500 {
		t.Errorf("50,000 failed calls leaked %d kB", grown)
	} else {
		t.Logf("50,000 failed calls: %d kB more", grown)
	}
}
