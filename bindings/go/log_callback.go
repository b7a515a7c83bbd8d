//go:build cgo

package couchdrop

/*
#include <stdint.h>
*/
import "C"

import "runtime/cgo"

// couchdrop_go_log receives the library's log messages. It has its own file because the C preamble of a file with an
// export must not contain definitions.
//
//export couchdrop_go_log
func couchdrop_go_log(call C.uintptr_t, level C.int32_t, message *C.char) {
	cgo.Handle(call).Value().(*callLog).write(LogLevel(level), C.GoString(message))
}
