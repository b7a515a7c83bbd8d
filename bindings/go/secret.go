//go:build cgo

package couchdrop

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// redacted is what every secret shows of itself.
const redacted = "[redacted]"

// Secret is a password. It shows itself as "[redacted]" under every verb of package fmt, in JSON, text and log/slog;
// nothing of it is shown either where it is a field of another struct, exported or not, nor by printers that find
// their way by reflection. It can be read from JSON, YAML and the like (UnmarshalText).
//
// The zero Secret is empty. A copy stands for the same secret, and is equal to it; two that were made apart are not
// equal, whatever they hold. Any number of goroutines may use it.
type Secret struct{ masked }

// NewSecret returns a secret with a copy of the text. The text itself, which Go can't wipe, is still the caller's: where
// that matters use [NewSecretBytes].
func NewSecret(text string) Secret { return Secret{masked{hide([]byte(text))}} }

// NewSecretBytes returns a secret with a copy of the bytes, which the caller may then wipe.
func NewSecretBytes(text []byte) Secret { return Secret{masked{hide(append([]byte(nil), text...))}} }

// UnmarshalText makes s a secret with a copy of the text, so that a configuration may hold it. It refuses
// "[redacted]", which is what a secret was written as and no password.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == redacted {
		return errors.New("couchdrop: a secret was written as " + redacted + " and can't be read back")
	}
	*s = NewSecretBytes(text)
	return nil
}

// Wipe overwrites the secret, also for its copies. It is empty then: a login with it gives [ErrEmptyArgument]. A login
// that has begun goes on.
func (s Secret) Wipe() { s.wipe() }

// Token is what a login returns: a secret that the service takes in the request header [TokenHeader], over https. It
// shows itself as [Secret] does.
//
// It is short-lived (the service says not how long), and has the permissions of the user who logged in. Any number of
// goroutines may use it. It is wiped by Wipe, or when it is garbage.
type Token struct{ masked }

// Value returns the token in clear: 1 to 65,536 printable ASCII characters without a space; "" for a token that was
// wiped. Send it to Couchdrop alone, and don't log it. What it returns is a copy, which Go can't wipe.
func (t *Token) Value() string {
	value := ""
	t.read(func(text []byte) { value = string(text) })
	return value
}

// Wipe overwrites the token, also for its copies. Its Value is "" then.
func (t *Token) Wipe() { t.wipe() }

// masked is a secret that shows itself nowhere. Package fmt can't call methods of a field that is not exported, and
// shows what is in it instead.
type masked struct{ hidden *hidden }

// hidden is where the secret lies: in a closure, since that is what no printer looks into. There are some that
// follow every pointer and call no method, as testify's do for two values that differ.
type hidden struct {
	mutex sync.RWMutex
	text  func() []byte
}

// hide takes over the text: nobody else may keep it.
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

// read calls f with the secret, which stays as it is until f returns, and which f does not keep.
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

// Format writes "[redacted]", whatever the verb.
func (masked) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalJSON returns "[redacted]".
func (masked) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "[redacted]".
func (masked) MarshalText() ([]byte, error) { return []byte(redacted), nil }
