//go:build cgo

package couchdrop

/*
#include <stdint.h>
#include "couchdrop.h"

// Exported by log_callback.go.
extern void couchdrop_go_log(uintptr_t call, int32_t level, char *message);

// The call that this thread is inside, a cgo.Handle; 0 = one without a logger. The library logs on the thread of the
// call, so a panic of the logger can be returned to the call that it belongs to.
static __thread uintptr_t couchdrop_go_call;

static void couchdrop_go_pass_on(void *unused, int32_t level, const char *message) {
	(void)unused;
	if (couchdrop_go_call != 0)
		couchdrop_go_log(couchdrop_go_call, level, (char *)message);
}

static cd_code couchdrop_go_set_logger(cd_options *options, int32_t max_level, cd_error **error) {
	return cd_options_set_logger(options, couchdrop_go_pass_on, NULL, max_level, error);
}

static cd_code couchdrop_go_authenticate(uintptr_t call, const cd_options *options, const cd_cancel *cancel,
                                         uint32_t timeout_ms, const char *username, const char *password,
                                         const char *system, cd_token **token, cd_error **error) {
	// A logger may log in itself.
	uintptr_t outer = couchdrop_go_call;
	couchdrop_go_call = call;
	cd_code code = cd_authenticate_with(options, cancel, timeout_ms, username, password, system, token, error);
	couchdrop_go_call = outer;
	return code;
}

static cd_code couchdrop_go_connect(uintptr_t call, const cd_options *options, const cd_cancel *cancel,
                                    uint32_t timeout_ms, cd_error **error) {
	uintptr_t outer = couchdrop_go_call;
	couchdrop_go_call = call;
	cd_code code = cd_connect(options, cancel, timeout_ms, error);
	couchdrop_go_call = outer;
	return code;
}
*/
import "C"

import "runtime/cgo"

// LogLevel says how much a message matters.
type LogLevel int32

const (
	// LogError: a login failed, and nobody cancelled it.
	LogError LogLevel = C.CD_LOG_ERROR
	// LogWarn: something that an administrator should see to; a retry and its reason.
	LogWarn LogLevel = C.CD_LOG_WARN
	// LogInfo: a login that succeeded, or was cancelled; a request that was sent again on a new connection.
	LogInfo LogLevel = C.CD_LOG_INFO
	// LogDebug: each phase with its duration, addresses, and what became of connections.
	LogDebug LogLevel = C.CD_LOG_DEBUG
)

// WithLogger has log told what happens, one line without secrets at a time; what is above maxLevel is not even made.
// A level that is none of the four is [ErrOutOfRange], a function that is nil [ErrNullArgument]. Of several loggers the
// last one counts.
//
// log runs in the goroutines whose calls it is told of, perhaps in several at once, and never after their calls have
// returned. It must not close the client, and must not end its goroutine (runtime.Goexit, testing.T.FailNow). If it
// panics, the call that it was told of panics with the same value, once the library has done its part. Under a
// [Transport] the requests that wait for the login panic.
func WithLogger(maxLevel LogLevel, log func(level LogLevel, message string)) Option {
	return func(s *settings) error {
		if log == nil {
			return invalid(CodeNullArgument, "The logger is nil")
		}
		err := run(func(failure **C.cd_error) C.cd_code {
			return C.couchdrop_go_set_logger(s.options, C.int32_t(maxLevel), failure)
		})
		if err != nil {
			return err
		}
		s.log = log
		return nil
	}
}

// callLog passes the messages of one call to the client's logger, and keeps what the logger panicked with.
type callLog struct {
	log      func(level LogLevel, message string)
	handle   cgo.Handle
	panicked *panicked
}

// newCallLog returns nil for a client without a logger.
func newCallLog(log func(level LogLevel, message string)) *callLog {
	if log == nil {
		return nil
	}
	l := &callLog{log: log}
	l.handle = cgo.NewHandle(l)
	return l
}

// number is what the library's thread keeps of the call.
func (l *callLog) number() C.uintptr_t {
	if l == nil {
		return 0
	}
	return C.uintptr_t(l.handle)
}

// write runs on the goroutine of the call, above the library's frames: a panic must not unwind these.
func (l *callLog) write(level LogLevel, message string) {
	if caught := catchPanic(func() { l.log(level, message) }); l.panicked == nil {
		l.panicked = caught
	}
}

// delete is called when the library has returned.
func (l *callLog) delete() {
	if l != nil {
		l.handle.Delete()
	}
}

// panicAgain panics if the logger has.
func (l *callLog) panicAgain() {
	if l != nil && l.panicked != nil {
		panic(l.panicked.value)
	}
}

// authenticate is cd_authenticate_with(), whose messages go to this call.
func (l *callLog) authenticate(options *C.cd_options, cancel *C.cd_cancel, timeoutMS C.uint32_t,
	username, password, system *C.char, token **C.cd_token, failure **C.cd_error,
) C.cd_code {
	return C.couchdrop_go_authenticate(l.number(), options, cancel, timeoutMS, username, password, system, token, failure)
}

// connect is cd_connect(), whose messages go to this call.
func (l *callLog) connect(options *C.cd_options, cancel *C.cd_cancel, timeoutMS C.uint32_t, failure **C.cd_error) C.cd_code {
	return C.couchdrop_go_connect(l.number(), options, cancel, timeoutMS, failure)
}

// panicked is the value of a panic, which may be nil.
type panicked struct{ value interface{} }

// catchPanic calls f and returns its panic, or nil if it returned. It does not return if f ended the goroutine.
func catchPanic(f func()) (caught *panicked) {
	returned := false
	defer func() {
		if !returned {
			caught = &panicked{recover()}
		}
	}()
	f()
	returned = true
	return nil
}
