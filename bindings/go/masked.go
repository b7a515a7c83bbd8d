//go:build cgo

package couchdrop

import (
	"fmt"
	"io"
	"runtime"
	"sync"
)

// redacted is the printed form of every secret.
const redacted = "[redacted]"

// masked is a secret that does not appear in output. Package fmt can't call methods of an unexported field, and prints
// the contents of the field instead.
type masked struct{ hidden *hidden }

// hidden contains the secret in a closure, because printers do not print the variables of a closure. Some printers
// follow every pointer and call no method, for instance testify's for two values that differ.
type hidden struct {
	mutex sync.RWMutex
	text  func() []byte
}

// hide takes ownership of the text: the caller must not keep it.
func hide(text []byte) *hidden {
	h := &hidden{text: func() []byte { return text }}
	runtime.SetFinalizer(h, (*hidden).wipe)
	return h
}

func (h *hidden) wipe() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	text := h.text()
	for i := range text {
		text[i] = 0
	}
	h.text = func() []byte { return nil }
}

func (m masked) wipe() {
	if m.hidden != nil {
		m.hidden.wipe()
	}
}

// read calls f with the secret, which does not change until f returns. f must not keep it.
func (m masked) read(f func(text []byte)) {
	if m.hidden == nil {
		f(nil)
		return
	}
	m.hidden.mutex.RLock()
	defer m.hidden.mutex.RUnlock()
	f(m.hidden.text())
}

// String returns "[redacted]".
func (masked) String() string { return redacted }

// Format writes "[redacted]" for every verb.
func (masked) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalJSON returns "[redacted]".
func (masked) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "[redacted]".
func (masked) MarshalText() ([]byte, error) { return []byte(redacted), nil }
