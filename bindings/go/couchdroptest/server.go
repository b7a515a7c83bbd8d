package couchdroptest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Server is a running fake service. Any number of goroutines may use it.
type Server struct {
	// URL is http://127.0.0.1:PORT: the base URL of a client, and an origin of a transport.
	URL string

	server *httptest.Server
	// Closed when the server stops: the logins without a response end.
	closing chan struct{}
	close   sync.Once

	// Guards the fields below.
	mutex      sync.Mutex
	tokens     map[string]bool
	entries    map[string]entry
	logins     int
	busyLogins int
	login      http.Handler
}

// NewServer starts a server on a free port. It is closed at the end of the test with its subtests.
func NewServer(t testing.TB) *Server {
	t.Helper()
	server := Start()
	t.Cleanup(server.Close)
	return server
}

// Start starts a server without a test, for instance in TestMain. The caller closes it. It panics if the machine refuses
// a socket.
func Start() *Server {
	s := &Server{closing: make(chan struct{}), tokens: make(map[string]bool), entries: initialEntries()}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.server.URL
	return s
}

// Close stops the server, closes its connections and returns when that is done. Closing again does nothing.
func (s *Server) Close() {
	s.close.Do(func() {
		close(s.closing)
		s.server.Close()
	})
}

// ExpireTokens makes all tokens so far invalid: requests with them get 403.
func (s *Server) ExpireTokens() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.tokens = make(map[string]bool)
}

// Logins returns the number of login requests so far, including refused ones.
func (s *Server) Logins() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.logins
}

// File returns a copy of the content that was uploaded to a path such as "/folder/name". It returns false if nothing
// was.
func (s *Server) File(path string) ([]byte, bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	uploaded := s.entries[path]
	return append([]byte(nil), uploaded.content...), uploaded.content != nil
}

// HandleLogin makes a handler respond to logins in place of the accounts, for instance with a failure that no account
// has. nil restores the accounts. A token of the handler's own is not valid for files.
func (s *Server) HandleLogin(handler http.Handler) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.login = handler
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	isLogin := strings.HasSuffix(r.URL.Path, "/authenticate")
	switch {
	case !isLogin && r.URL.Path != "/file/ls" && r.URL.Path != "/file/upload":
		writeError(w, http.StatusNotFound, "No such path")
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		writeError(w, http.StatusMethodNotAllowed, "Use POST")
	case isLogin:
		s.mutex.Lock()
		s.logins++
		handler := s.login
		s.mutex.Unlock()
		if handler == nil {
			handler = http.HandlerFunc(s.authenticate)
		}
		handler.ServeHTTP(w, r)
	case r.URL.Path == "/file/ls":
		s.list(w, r)
	default:
		s.upload(w, r)
	}
}
