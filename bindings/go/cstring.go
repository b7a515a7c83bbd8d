//go:build cgo

package couchdrop

/*
#include <stdlib.h>
#include "couchdrop.h"
*/
import "C"

import (
	"bytes"
	"unsafe"
)

// cString is a copy of a text in C memory. free wipes it. The zero cString is NULL.
type cString struct {
	text *C.char
	size C.size_t
}

// newCString copies the text, which error messages call name. It rejects a text with a NUL, because C would truncate it
// there: a truncated password is a different password.
func newCString(name string, text []byte) (cString, error) {
	if bytes.IndexByte(text, 0) >= 0 {
		return cString{}, invalid(CodeInvalidUTF8, name+" contains a NUL character")
	}
	size := len(text) + 1
	memory := C.malloc(C.size_t(size))
	buffer := unsafe.Slice((*byte)(memory), size)
	copy(buffer, text)
	buffer[size-1] = 0
	return cString{(*C.char)(memory), C.size_t(size)}, nil
}

func (s cString) free() {
	C.cd_secure_zero(unsafe.Pointer(s.text), s.size)
	C.free(unsafe.Pointer(s.text))
}
