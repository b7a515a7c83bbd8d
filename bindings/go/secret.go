//go:build cgo

package couchdrop

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// redacted is the printed form of every secret.
const redacted = "[redacted]"

// Secret is a password. It prints as "[redacted]" with every verb of package fmt, in JSON, text and log/slog. As a
// field of another struct, exported or not, it does not appear either, nor in the output of printers that use
// reflection. It can be read from JSON, YAML and other formats (UnmarshalText).
//
// The zero Secret is empty. A copy refers to the same secret and is equal to it. Two secrets that were created
// separately are not equal, even if their texts are. Any number of goroutines may use it.
type Secret struct{ masked }

// NewSecret returns a secret with a copy of the text. The caller still has the text, which Go can't wipe. If that
// matters, use [NewSecretBytes].
func NewSecret(text string) Secret { return Secret{masked{hide([]byte(text))}} }

// NewSecretBytes returns a secret with a copy of the bytes, which the caller may then wipe.
func NewSecretBytes(text []byte) Secret { return Secret{masked{hide(append([]byte(nil), text...))}} }

// UnmarshalText sets s to a secret with a copy of the text, so that a configuration can contain a password. It rejects
// "[redacted]", which is the output of a masked secret and not a password.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == redacted {
		return errors.New("couchdrop: a secret was written as " + redacted + " and can't be read back")
	}
	*s = NewSecretBytes(text)
	return nil
}

// Wipe overwrites the secret and thereby all its copies. A later login with it fails with [ErrEmptyArgument]. A login
// in progress continues.
func (s Secret) Wipe() { s.wipe() }

// Token is the result of a login: a secret for the request header [TokenHeader], over https. It prints like [Secret].
//
// It is short-lived (the service does not document its lifetime), and has the permissions of the user who logged in.
// Any number of goroutines may use it. Wipe or a finalizer wipes it.
type Token struct{ masked }

// Value returns the token in clear text: 1 to 65,536 printable ASCII characters without a space, or "" for a wiped
// token. Send it only to Couchdrop, and do not log it. The returned string is a copy, which Go can't wipe.
func (t *Token) Value() string {
	value := ""
	t.read(func(text []byte) { value = string(text) })
	return value
}

// Wipe overwrites the token and thereby all its copies. Value then returns "".
func (t *Token) Wipe() { t.wipe() }

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
