//go:build cgo

package couchdrop

/*
#include "couchdrop.h"
*/
import "C"

import (
	"fmt"
	"math"
	"time"
)

// SessionOption is a setting of a session, for [Client.Session]. A later option overrides an earlier one of the same
// kind.
type SessionOption func(*sessionSettings) error

// sessionSettings holds the ages of a session in seconds.
type sessionSettings struct{ maxAge, minAge C.uint32_t }

// defaultMinAge is the minimum age of the library in seconds.
const defaultMinAge = 60

// WithMaxAge sets the maximum age of a token, counted from the service's response: an older one is replaced before its
// next use. 0 means no maximum, the default. Fractions of a second are rounded up. A negative age, or one of more than
// 4,294,967,295 s, fails with [ErrOutOfRange].
func WithMaxAge(age time.Duration) SessionOption {
	return func(s *sessionSettings) (err error) {
		s.maxAge, err = seconds("The maximum age", age)
		return err
	}
}

// WithMinAge sets the age from which [Session.Renew] replaces a rejected token. The default is 60 s. With 0 each
// rejection of the current token causes a login. Fractions of a second are rounded up. A negative age, or one of more
// than 4,294,967,295 s, fails with [ErrOutOfRange].
func WithMinAge(age time.Duration) SessionOption {
	return func(s *sessionSettings) (err error) {
		s.minAge, err = seconds("The minimum age", age)
		return err
	}
}

func (s *sessionSettings) apply(session *C.cd_session) error {
	err := callC(func(cErr **C.cd_error) C.cd_code {
		return C.cd_session_set_max_age_seconds(session, s.maxAge, cErr)
	})
	if err != nil {
		return err
	}
	return callC(func(cErr **C.cd_error) C.cd_code {
		return C.cd_session_set_min_age_seconds(session, s.minAge, cErr)
	})
}

// seconds rounds an age up, which the error message calls name.
func seconds(name string, age time.Duration) (C.uint32_t, error) {
	count := age / time.Second
	if age%time.Second > 0 {
		count++
	}
	if age < 0 || count > math.MaxUint32 {
		return 0, invalid(CodeOutOfRange, fmt.Sprintf("%s is out of range: %v", name, age))
	}
	return C.uint32_t(count), nil
}
