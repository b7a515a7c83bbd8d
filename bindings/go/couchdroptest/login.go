package couchdroptest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxLoginBytes is the maximum size of a login's body.
const maxLoginBytes = 1 << 20

// authenticate responds to a login as the account requires.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLoginBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		writeError(w, http.StatusRequestEntityTooLarge, "The body is too large")
		return
	}
	if err != nil {
		return // The client closed the connection.
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var fields map[string]string
	switch mediaType {
	case "application/x-www-form-urlencoded":
		fields = formFields(string(body))
	case "application/json":
		var ok bool
		if fields, ok = jsonFields(body); !ok {
			writeError(w, http.StatusBadRequest, "The body is not JSON")
			return
		}
	default:
		writeError(w, http.StatusUnsupportedMediaType, "Send a form or JSON")
		return
	}
	account, known := findAccount(fields["username"])
	switch {
	// A server that accepts only JSON never reads the password of a form.
	case known && account.outcome == jsonOnly && mediaType != "application/json":
		writeError(w, http.StatusUnsupportedMediaType, "send JSON")
	case !known || account.Password != fields["password"]:
		writeJSON(w, http.StatusForbidden, map[string]string{"err": "Access denied"})
	default:
		s.respond(w, r, account.outcome)
	}
}

// respond responds to a login with the right password.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, outcome outcome) {
	switch outcome {
	case success, jsonOnly:
		s.issueToken(w)
	case twoFactor:
		writeJSON(w, http.StatusUnauthorized, map[string]string{"err": "Two-factor authentication is required"})
	case limitedEveryOtherTime:
		s.mutex.Lock()
		s.busyLogins++
		isLimited := s.busyLogins%2 == 1
		s.mutex.Unlock()
		if isLimited {
			writeTooManyRequests(w, "1")
		} else {
			s.issueToken(w)
		}
	case limited:
		writeTooManyRequests(w, "3600")
	case unavailable:
		w.WriteHeader(http.StatusServiceUnavailable)
	case broken:
		writeError(w, http.StatusInternalServerError, "Internal error 7")
	case captivePortal:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Welcome</title><p>Accept the terms of this network.</p>\n")
	case moved:
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	case silence:
		select {
		case <-r.Context().Done():
		case <-s.closing:
		}
		panic(http.ErrAbortHandler) // Closes the connection without a response.
	}
}

// issueToken responds with a fresh token: a random UUID (RFC 9562).
func (s *Server) issueToken(w http.ResponseWriter) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		panic(err)
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	token := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	s.mutex.Lock()
	s.tokens[token] = true
	s.mutex.Unlock()
	writeJSON(w, http.StatusOK, map[string]string{"token": token})
}

// formFields parses a form. It keeps a value that is not encoded correctly as it is. The first of several fields with one
// name counts.
func formFields(body string) map[string]string {
	decode := func(text string) string {
		if decoded, err := url.QueryUnescape(text); err == nil {
			return decoded
		}
		return text
	}
	fields := make(map[string]string)
	for _, pair := range strings.Split(body, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name = decode(name); fields[name] == "" {
			fields[name] = decode(value)
		}
	}
	return fields
}

// jsonFields returns the members of an object that are strings. It returns false if the body is not JSON.
func jsonFields(body []byte) (map[string]string, bool) {
	var value interface{}
	if err := json.Unmarshal(body, &value); err != nil {
		return nil, false
	}
	fields := make(map[string]string)
	members, _ := value.(map[string]interface{})
	for name, member := range members {
		if text, ok := member.(string); ok {
			fields[name] = text
		}
	}
	return fields, true
}

func writeTooManyRequests(w http.ResponseWriter, retryAfter string) {
	w.Header().Set("Retry-After", retryAfter)
	writeError(w, http.StatusTooManyRequests, "Too many requests")
}

// writeError writes the error format of all routes except refused logins.
func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{"error": message})
}

func writeJSON(w http.ResponseWriter, status int, value interface{}) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error means that the client closed the connection.
	_ = json.NewEncoder(w).Encode(value)
}
