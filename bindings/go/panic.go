//go:build cgo

package couchdrop

// panicValue is the value of a recovered panic. The value itself may be nil.
type panicValue struct{ value interface{} }

// catchPanic calls f and returns its panic, or nil if f returned. It does not return if f ended the goroutine.
func catchPanic(f func()) (caught *panicValue) {
	returned := false
	defer func() {
		if !returned {
			caught = &panicValue{recover()}
		}
	}()
	f()
	returned = true
	return nil
}
