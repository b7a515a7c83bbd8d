//go:build cgo

package couchdrop

/*
#include <stdint.h>
#include "couchdrop.h"

// Exported by log_callback.go.
extern void couchdrop_go_log(uintptr_t sink, int32_t level, char *message);

// The sink travels as a number: Go takes it for a broken pointer otherwise.
static void couchdrop_go_pass_on(void *sink, int32_t level, const char *message) {
	couchdrop_go_log((uintptr_t)sink, level, (char *)message);
}

static cd_code couchdrop_go_set_logger(cd_options *options, uintptr_t sink, int32_t max_level, cd_error **error) {
	return cd_options_set_logger(options, couchdrop_go_pass_on, (void *)sink, max_level, error);
}
*/
import "C"

import (
	"runtime/cgo"
	"sync/atomic"
)

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
// panics, a call of the client that is under way panics with the same value, once the library has done its part.
func WithLogger(maxLevel LogLevel, log func(level LogLevel, message string)) Option {
	return func(s *settings) error {
		if log == nil {
			return invalid(CodeNullArgument, "The logger is nil")
		}
		sink := &logSink{log: log}
		handle := cgo.NewHandle(sink)
		err := run(func(failure **C.cd_error) C.cd_code {
			return C.couchdrop_go_set_logger(s.options, C.uintptr_t(handle), C.int32_t(maxLevel), failure)
		})
		if err != nil {
			handle.Delete()
			return err
		}
		// Of several loggers the last one counts.
		s.log.delete()
		sink.handle = handle
		s.log = sink
		return nil
	}
}

// logSink is where the library's messages go. A nil sink is none.
type logSink struct {
	log      func(level LogLevel, message string)
	handle   cgo.Handle
	panicked atomic.Value
}

// panicValue lets values of different types be stored.
type panicValue struct{ value interface{} }

func (s *logSink) delete() {
	if s != nil {
		s.handle.Delete()
	}
}

func (s *logSink) write(level LogLevel, message string) {
	// A panic must not unwind the library's frames, which Go would merely leave behind.
	defer func() {
		if value := recover(); value != nil {
			s.panicked.Store(panicValue{value})
		}
	}()
	s.log(level, message)
}

// panicAgain panics if the logger has, since the last time.
func (s *logSink) panicAgain() {
	if s == nil || s.panicked.Load() == nil {
		return
	}
	if value := s.panicked.Swap(panicValue{}).(panicValue); value.value != nil {
		panic(value.value)
	}
}
