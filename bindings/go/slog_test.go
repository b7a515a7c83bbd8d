//go:build cgo && go1.21

package couchdrop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
)

func TestSlogDoesNotShowSecrets(t *testing.T) {
	var buffer bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&buffer, nil), slog.NewJSONHandler(&buffer, nil)} {
		for name, value := range holders() {
			if name == "func" {
				continue
			}
			buffer.Reset()
			slog.New(handler).Info("login", "value", value, slog.Group("in a group", "value", value))
			if shows(buffer.String()) {
				t.Errorf("%T of %s: %s", handler, name, buffer.String())
			}
			switch value.(type) {
			case Secret, *Secret, Token, *Token:
				if strings.Count(buffer.String(), redacted) != 2 {
					t.Errorf("%T of %s: %s", handler, name, buffer.String())
				}
			}
		}
	}
}

func TestSlogReceivesMessagesWithoutSecrets(t *testing.T) {
	var buffer bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&buffer, &slog.HandlerOptions{Level: slog.LevelDebug}))
	token, err := newClient(t, WithSlog(logger)).Authenticate(context.Background(), account("ada"))
	if err != nil {
		t.Fatal(err)
	}
	messages := buffer.String()
	if !strings.Contains(messages, "level=INFO") || !strings.Contains(messages, "level=DEBUG") {
		t.Error(messages)
	}
	if strings.Contains(messages, token.Value()) || strings.Contains(messages, password) {
		t.Error("the log shows a secret")
	}
	if _, err := NewClient(WithSlog(nil)); !errors.Is(err, ErrNullArgument) {
		t.Error(err)
	}
	// Messages below the logger's level are not created.
	client := newClient(t, WithSlog(slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))))
	if client.log != nil {
		t.Error("a logger without an enabled level is called")
	}
}

func TestNilTokenIsLoggedAsNull(t *testing.T) {
	var buffer bytes.Buffer
	var token *Token
	slog.New(slog.NewJSONHandler(&buffer, nil)).Info("login", "token", token)
	if text := buffer.String(); !strings.Contains(text, `"token":null`) {
		t.Error(text)
	}
}
