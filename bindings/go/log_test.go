//go:build cgo

package couchdrop

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestLoggerReceivesMessagesWithoutSecrets(t *testing.T) {
	var mutex sync.Mutex
	told := map[LogLevel]string{}
	log := func(level LogLevel, message string) {
		mutex.Lock()
		defer mutex.Unlock()
		told[level] += message + "\n"
	}
	replaced := func(LogLevel, string) { t.Error("a replaced logger received a message") }
	client := newClient(t, WithLogger(LogDebug, replaced), WithLogger(LogDebug, log))
	token, err := client.Authenticate(context.Background(), account("ada"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Authenticate(context.Background(), account("down")); err == nil {
		t.Fatal("logged in")
	}
	for level := LogError; level <= LogDebug; level++ {
		if told[level] == "" {
			t.Errorf("no message at level %d", level)
		}
		if strings.Contains(told[level], token.Value()) || strings.Contains(told[level], password) {
			t.Error("the log shows a secret")
		}
	}
	quiet := newClient(t, WithLogger(LogWarn, func(level LogLevel, message string) { t.Errorf("message at level %d: %s", level, message) }))
	if _, err := quiet.Authenticate(context.Background(), account("ada")); err != nil {
		t.Error(err)
	}
}

func TestLoggerPanicReachesCaller(t *testing.T) {
	reason := errors.New("a defect of the logger")
	client := newClient(t, WithLogger(LogInfo, func(LogLevel, string) { panic(reason) }))
	for i := 0; i < 2; i++ {
		func() {
			defer func() {
				if value := recover(); value != reason {
					t.Errorf("panics with %v", value)
				}
			}()
			_, err := client.Authenticate(context.Background(), account("ada"))
			t.Errorf("returned %v", err)
		}()
	}
	// Close would block if a call were still in progress.
	client.Close()
}

func TestLoggerPanicDoesNotReachOtherCalls(t *testing.T) {
	service := newFakeService(t)
	requested, proceed := make(chan struct{}, 1), make(chan struct{})
	service.set(func() {
		service.login = func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("username") == "slow@example.com" {
				requested <- struct{}{}
				<-proceed
			}
			_, _ = io.WriteString(w, `{"token":"token-1"}`)
		}
	})
	// The logger panics once, at the start of the slow login.
	var told int64
	client := newClient(t, WithBaseURL(service.URL), WithLogger(LogDebug, func(LogLevel, string) {
		if atomic.AddInt64(&told, 1) == 1 {
			panic("a defect of the logger")
		}
	}))
	slow := make(chan interface{}, 1)
	go func() {
		slow <- panicOf(func() { _, _ = client.Authenticate(context.Background(), account("slow")) })
	}()
	waitForRequest(t, requested)
	if value := panicOf(func() { _, _ = client.Authenticate(context.Background(), account("ada")) }); value != nil {
		t.Errorf("another call panics with %v", value)
	}
	close(proceed)
	if value := <-slow; value != "a defect of the logger" {
		t.Errorf("the call panics with %v", value)
	}
}

func TestLoggerMayLogIn(t *testing.T) {
	var client *Client
	var told, inner int64
	log := func(LogLevel, string) {
		if atomic.AddInt64(&told, 1) == 1 {
			if _, err := client.Authenticate(context.Background(), account("ada")); err != nil {
				t.Error(err)
			}
			inner = atomic.LoadInt64(&told)
			panic("a defect of the logger")
		}
	}
	client = newClient(t, WithLogger(LogDebug, log))
	value := panicOf(func() { _, _ = client.Authenticate(context.Background(), account("ada")) })
	if value != "a defect of the logger" || inner < 2 || told <= inner {
		t.Errorf("panicked with %v; %d messages inside, %d in total", value, inner, told)
	}
}

func TestLoggerRunsConcurrently(t *testing.T) {
	var mutex sync.Mutex
	lines := 0
	client := newClient(t, WithBaseURL(service.http), WithLogger(LogDebug, func(_ LogLevel, message string) {
		mutex.Lock()
		defer mutex.Unlock()
		lines += strings.Count(message+"\n", "\n")
	}))
	var group sync.WaitGroup
	for i := 0; i < 100; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if _, err := client.Authenticate(context.Background(), account("ada")); err != nil {
				t.Error(err)
			}
		}()
	}
	group.Wait()
	if lines < 100 {
		t.Errorf("%d lines for 100 logins", lines)
	}
}
