//go:build cgo

package couchdrop

/*
#include <stdint.h>
*/
import "C"

import "runtime/cgo"

// couchdrop_go_log is what the library calls. It stands alone since a file with an export can't define anything in C.
//
//export couchdrop_go_log
func couchdrop_go_log(call C.uintptr_t, level C.int32_t, message *C.char) {
	cgo.Handle(call).Value().(*callLog).write(LogLevel(level), C.GoString(message))
}
