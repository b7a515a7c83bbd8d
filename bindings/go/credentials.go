//go:build cgo

package couchdrop

// Credentials are the arguments of a login. Each string is UTF-8 of at most 64 KiB without a NUL. Any other string
// fails with [ErrInvalidUTF8] or [ErrOutOfRange], and nothing is sent. No call keeps them.
type Credentials struct {
	// Username must not be empty ([ErrEmptyArgument]).
	Username string
	// Password must not be empty or wiped ([ErrEmptyArgument]). [NewSecret] creates it. The caller wipes it.
	Password Secret
	// System is the name of the program or system that logs in; "" = none.
	System string
}

// validate returns an error if the user name or the password is empty.
func (c Credentials) validate() error {
	if c.Username == "" {
		return invalid(CodeEmptyArgument, "The user name must not be empty")
	}
	var err error
	c.Password.read(func(text []byte) {
		if len(text) == 0 {
			err = invalid(CodeEmptyArgument, "The password must not be empty")
		}
	})
	return err
}
