//go:build cgo

package couchdrop

import "errors"

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
