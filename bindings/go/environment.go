//go:build cgo

package couchdrop

/*
#include "couchdrop.h"
*/
import "C"

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
)

// environmentNames are the variables that the library reads.
var environmentNames = []string{
	"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

// environment passes Go's copy of the environment to the library, until a call has frozen the client's options.
// Otherwise the library would call getenv, which can crash while another goroutine calls os.Setenv.
type environment struct {
	frozen atomic.Bool
	// Held until the options are frozen, so that they receive the variables of one goroutine only.
	mutex sync.Mutex
}

// apply passes the present values of the variables to the library.
func (e *environment) apply(options *C.cd_options) error {
	if e.frozen.Load() {
		return nil
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for _, name := range environmentNames {
		err := setVariable(options, name)
		if errors.Is(err, ErrOptionsInUse) {
			e.frozen.Store(true)
			return nil
		}
		if err != nil {
			return err
		}
	}
	// A call with a triggered handle freezes the options and has no other effect.
	cancelled := C.cd_cancel_new()
	defer C.cd_cancel_free(cancelled)
	C.cd_cancel_trigger(cancelled)
	err := callC(func(cErr **C.cd_error) C.cd_code { return C.cd_connect(options, cancelled, 0, cErr) })
	if !errors.Is(err, ErrCancelled) {
		return err
	}
	e.frozen.Store(true)
	return nil
}

// setVariable passes the value of one variable to the library, or NULL if it is not set.
func setVariable(options *C.cd_options, name string) error {
	cName, err := newCString("The name of an environment variable", []byte(name))
	if err != nil {
		return err
	}
	defer cName.free()
	var value cString
	if text, set := os.LookupEnv(name); set {
		if value, err = newCString("The environment variable "+name, []byte(text)); err != nil {
			return err
		}
		// The value may contain the password of a proxy.
		defer value.free()
	}
	return callC(func(cErr **C.cd_error) C.cd_code {
		return C.cd_options_set_environment(options, cName.text, value.text, cErr)
	})
}
