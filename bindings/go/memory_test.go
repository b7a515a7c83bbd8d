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

// complement returns the bitwise complement of a text, which copies does not count.
func complement(text []byte) []byte {
	turned := make([]byte, len(text))
	for i, b := range text {
		turned[i] = ^b
	}
	return turned
}

// copies counts the occurrences of a text in this process's memory. The caller passes the complement of the text. Only
// the second half is searched for, because the allocator may overwrite the first half of released memory.
func copies(t *testing.T, turned []byte) int {
	t.Helper()
	turned = turned[len(turned)/2:]
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		lacking(t, "this system does not show what memory a process has")
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
		for at := start; at < end; at += int64(len(buffer) - len(turned) + 1) {
			piece := buffer
			if end-at < int64(len(piece)) {
				piece = piece[:end-at]
			}
			n, _ := memory.ReadAt(piece, at)
			count += countIn(piece[:n], turned)
		}
	}
	return count
}

func countIn(piece, turned []byte) int {
	count := 0
	for {
		first := bytes.IndexByte(piece, ^turned[0])
		if first < 0 || len(piece)-first < len(turned) {
			return count
		}
		same := 0
		for same < len(turned) && piece[first+same] == ^turned[same] {
			same++
		}
		if same == len(turned) {
			count++
		}
		piece = piece[first+1:]
	}
}

func TestATokenLiesInMemoryOnceAndAfterWipeNowhere(t *testing.T) {
	token, err := newClient(t).Authenticate(context.Background(), account("ada"))
	must(t, err)
	var turned []byte
	token.read(func(text []byte) { turned = complement(text) })
	if count := copies(t, turned); count != 1 {
		t.Errorf("the token lies in memory %d times", count)
	}
	token.Wipe()
	if count := copies(t, turned); count != 0 {
		t.Errorf("wiped, the token lies in memory %d times", count)
	}
}

func TestAPasswordLiesInMemoryOnceAndAfterWipeNowhere(t *testing.T) {
	turned := make([]byte, 32)
	_, err := rand.Read(turned)
	must(t, err)
	for i, b := range turned {
		turned[i] = ^('a' + b%26)
	}
	text := complement(turned)
	secret := NewSecretBytes(text)
	for i := range text {
		text[i] = 0
	}
	client := newClient(t)
	for i := 0; i < 3; i++ {
		_, err = client.Authenticate(context.Background(), Credentials{Username: "ada@example.com", Password: secret})
		if !errors.Is(err, ErrAccessDenied) {
			t.Fatal(err)
		}
	}
	if count := copies(t, turned); count != 1 {
		t.Errorf("the password lies in memory %d times", count)
	}
	secret.Wipe()
	if count := copies(t, turned); count != 0 {
		t.Errorf("wiped, the password lies in memory %d times", count)
	}
}

func TestFailuresLeaveNoMemoryBehind(t *testing.T) {
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
		t.Errorf("50,000 failed calls left %d kB behind", grown)
	} else {
		t.Logf("50,000 failed calls: %d kB more", grown)
	}
}
