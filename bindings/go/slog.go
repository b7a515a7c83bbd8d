//go:build cgo && go1.21

package couchdrop

import (
	"context"
	"log/slog"
)

// LogValue returns "[redacted]".
func (masked) LogValue() slog.Value { return slog.StringValue(redacted) }

// LogValue returns "[redacted]", or nil for the nil Token that a failed login returned.
func (t *Token) LogValue() slog.Value {
	if t == nil {
		return slog.AnyValue(nil)
	}
	return t.masked.LogValue()
}

// WithSlog passes log messages to a logger of log/slog, as [WithLogger] does. [NewClient] reads the logger's level
// once. A nil logger fails with [ErrNullArgument].
func WithSlog(logger *slog.Logger) Option {
	levels := map[LogLevel]slog.Level{
		LogError: slog.LevelError,
		LogWarn:  slog.LevelWarn,
		LogInfo:  slog.LevelInfo,
		LogDebug: slog.LevelDebug,
	}
	return func(s *settings) error {
		if logger == nil {
			return invalid(CodeNullArgument, "The logger is nil")
		}
		for level := LogDebug; level >= LogError; level-- {
			if logger.Enabled(context.Background(), levels[level]) {
				return WithLogger(level, func(level LogLevel, message string) {
					logger.Log(context.Background(), levels[level], message)
				})(s)
			}
		}
		return nil
	}
}
