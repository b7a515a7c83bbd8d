//go:build cgo

package couchdrop

/*
#include <stdint.h>
#include "couchdrop.h"

// Exported by log_callback.go.
extern void couchdrop_go_log(uintptr_t call, int32_t level, char *message);

// The cgo.Handle of the call on this thread; 0 = a call without a logger. The library logs on the thread of the call,
// so a panic of the logger can be returned to its call.
static __thread uintptr_t couchdrop_go_call;

static void couchdrop_go_forward_log(void *unused, int32_t level, const char *message) {
	(void)unused;
	if (couchdrop_go_call != 0)
		couchdrop_go_log(couchdrop_go_call, level, (char *)message);
}

static cd_code couchdrop_go_set_logger(cd_options *options, int32_t max_level, cd_error **error) {
	return cd_options_set_logger(options, couchdrop_go_forward_log, NULL, max_level, error);
}

static cd_code couchdrop_go_authenticate(uintptr_t call, const cd_options *options, const cd_cancel *cancel,
                                         uint32_t timeout_ms, const char *username, const char *password,
                                         const char *system, cd_token **token, cd_error **error) {
	// A logger may itself log in.
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

static cd_code couchdrop_go_session_token(uintptr_t call, cd_session *session, const cd_cancel *cancel,
                                          uint32_t timeout_ms, const char *rejected, cd_token **token,
                                          cd_error **error) {
	uintptr_t outer = couchdrop_go_call;
	couchdrop_go_call = call;
	cd_code code = cd_session_token(session, cancel, timeout_ms, rejected, token, error);
	couchdrop_go_call = outer;
	return code;
}
*/
import "C"

import "runtime/cgo"

// LogLevel is the level of a log message.
type LogLevel int32

const (
	// LogError: a login failed and was not cancelled.
	LogError LogLevel = C.CD_LOG_ERROR
	// LogWarn: a problem for the administrator; a retry and its reason.
	LogWarn LogLevel = C.CD_LOG_WARN
	// LogInfo: a login succeeded or was cancelled; a request was sent again on a new connection.
	LogInfo LogLevel = C.CD_LOG_INFO
	// LogDebug: each phase with its duration, addresses, and connections.
	LogDebug LogLevel = C.CD_LOG_DEBUG
)

// WithLogger sets the function that receives log messages. Each message is one line without secrets. Messages above
// maxLevel are not created. Another level than the four fails with [ErrOutOfRange], and a nil function with
// [ErrNullArgument]. The last of several loggers is used.
//
// log runs on the goroutine of the call that it reports, perhaps on several goroutines at once, and never after the
// call has returned. It must not close the client, and must not end its goroutine (runtime.Goexit, testing.T.FailNow).
// If it panics, the call panics with the same value after the library has returned.
func WithLogger(maxLevel LogLevel, log func(level LogLevel, message string)) Option {
	return func(s *settings) error {
		if log == nil {
			return invalid(CodeNullArgument, "The logger is nil")
		}
		err := callC(func(cErr **C.cd_error) C.cd_code {
			return C.couchdrop_go_set_logger(s.options, C.int32_t(maxLevel), cErr)
		})
		if err != nil {
			return err
		}
		s.log = log
		return nil
	}
}

// callLog passes the messages of one call to the client's logger, and stores the logger's panic.
type callLog struct {
	log      func(level LogLevel, message string)
	handle   cgo.Handle
	panicked *panicValue
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

// handleValue returns the handle for couchdrop_go_call.
func (l *callLog) handleValue() C.uintptr_t {
	if l == nil {
		return 0
	}
	return C.uintptr_t(l.handle)
}

// write runs on the goroutine of the call, above the library's frames. A panic must not unwind them.
func (l *callLog) write(level LogLevel, message string) {
	if caught := catchPanic(func() { l.log(level, message) }); l.panicked == nil {
		l.panicked = caught
	}
}

// delete releases the handle after the library has returned.
func (l *callLog) delete() {
	if l != nil {
		l.handle.Delete()
	}
}

// repanic panics with the value of the logger's panic, if any.
func (l *callLog) repanic() {
	if l != nil && l.panicked != nil {
		panic(l.panicked.value)
	}
}

// authenticate calls cd_authenticate_with(), whose messages l receives.
func (l *callLog) authenticate(options *C.cd_options, cancel *C.cd_cancel, timeoutMS C.uint32_t,
	username, password, system *C.char, token **C.cd_token, cErr **C.cd_error,
) C.cd_code {
	return C.couchdrop_go_authenticate(l.handleValue(), options, cancel, timeoutMS, username, password, system, token, cErr)
}

// connect calls cd_connect(), whose messages l receives.
func (l *callLog) connect(options *C.cd_options, cancel *C.cd_cancel, timeoutMS C.uint32_t, cErr **C.cd_error) C.cd_code {
	return C.couchdrop_go_connect(l.handleValue(), options, cancel, timeoutMS, cErr)
}

// sessionToken calls cd_session_token(), whose messages l receives.
func (l *callLog) sessionToken(session *C.cd_session, cancel *C.cd_cancel, timeoutMS C.uint32_t, rejected *C.char,
	token **C.cd_token, cErr **C.cd_error,
) C.cd_code {
	return C.couchdrop_go_session_token(l.handleValue(), session, cancel, timeoutMS, rejected, token, cErr)
}
