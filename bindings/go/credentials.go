//go:build cgo

package couchdrop

/*
#include "couchdrop.h"
*/
import "C"

// Credentials are the arguments of a login. Each string is UTF-8 of at most 64 KiB without a NUL. Any other string
// fails with [ErrInvalidUTF8] or [ErrOutOfRange], and nothing is sent. Only a [Session] keeps a copy of them.
type Credentials struct {
	// Username must not be empty ([ErrEmptyArgument]).
	Username string
	// Password must not be empty or wiped ([ErrEmptyArgument]). [NewSecret] creates it. The caller wipes it.
	Password Secret
	// System is the name of the program or system that logs in; "" = none.
	System string
}

// withCStrings calls f with copies of the credentials in C memory, and wipes them afterwards.
func (c Credentials) withCStrings(f func(username, password, system *C.char) error) error {
	username, err := newCString("The user name", []byte(c.Username))
	if err != nil {
		return err
	}
	defer username.free()
	var password cString
	c.Password.read(func(text []byte) { password, err = newCString("The password", text) })
	if err != nil {
		return err
	}
	defer password.free()
	system, err := newCString("The system", []byte(c.System))
	if err != nil {
		return err
	}
	defer system.free()
	return f(username.text, password.text, system.text)
}
