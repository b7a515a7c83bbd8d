package couchdroptest

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
)

const form = "application/x-www-form-urlencoded"

// response is a response whose body was read.
type response struct {
	*http.Response
	body string
}

func post(t *testing.T, url, token, contentType string, body io.Reader) response {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		request.Header.Set("token", token)
	}
	received, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer received.Body.Close()
	text, err := io.ReadAll(received.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{received, strings.TrimSuffix(string(text), "\n")}
}

func logIn(t *testing.T, server *Server) string {
	t.Helper()
	fields := url.Values{"username": {Username}, "password": {Password}}
	received := post(t, server.URL+"/authenticate", "", form, strings.NewReader(fields.Encode()))
	var login struct{ Token string }
	if err := json.Unmarshal([]byte(received.body), &login); err != nil || len(login.Token) != 36 {
		t.Fatalf("%s: %q, %v", received.Status, received.body, err)
	}
	return login.Token
}

func TestReadmeOfFakeServerNamesEveryAccount(t *testing.T) {
	text := ReadProjectFile(t, "tests/fake_server/README.md")
	for _, account := range Accounts() {
		if !strings.Contains(string(text), "\n| `"+account.Username+"` |") || !strings.Contains(string(text), "`"+account.Password+"`") {
			t.Errorf("%s is not in the README of the fake server", account.Username)
		}
	}
	if rows := strings.Count(string(text), "@example.com` |"); rows != len(Accounts()) {
		t.Errorf("the README has %d accounts, this package %d", rows, len(Accounts()))
	}
}

func TestInvalidLoginsAreRefused(t *testing.T) {
	server := NewServer(t)
	good := "username=ada%40example.com&password=correct+horse+battery+staple"
	for _, test := range []struct {
		contentType, body string
		status            int
	}{
		{form, good, 200},
		{form, good + "&username=nobody", 200},
		{form + "; charset=utf-8", good, 200},
		{form, "", 403},
		{form, "username=ada%40example.com", 403},
		{form, strings.Replace(good, "staple", "stable", 1), 403},
		{form, `{"username": "ada@example.com", "password": "correct horse battery staple"}`, 403},
		{"application/json", `{"username": "ada@example.com", "password": "correct horse battery staple"}`, 200},
		{"application/json", `[]`, 403},
		{"application/json", `{"username": 7, "password": "x"}`, 403},
		{"application/json", `{"username":`, 400},
		{"text/plain", good, 415},
		{"", good, 415},
		{form, strings.Repeat("x", maxLoginBytes), 403},
		{form, strings.Repeat("x", maxLoginBytes+1), 413},
	} {
		received := post(t, server.URL+"/prefix/authenticate", "", test.contentType, strings.NewReader(test.body))
		if received.StatusCode != test.status {
			t.Errorf("%s %.80s: %s", test.contentType, test.body, received.Status)
		}
		if test.status == 403 && received.body != `{"err":"Access denied"}` {
			t.Error(received.body)
		}
	}
	if server.Logins() != 15 {
		t.Errorf("%d logins", server.Logins())
	}
}

func TestOtherPathsAndMethodsAreRefused(t *testing.T) {
	server := NewServer(t)
	for _, path := range []string{"/", "/authenticate/", "/file", "/file/ls/"} {
		if received := post(t, server.URL+path, "", "", nil); received.StatusCode != 404 {
			t.Errorf("%s: %s", path, received.Status)
		}
	}
	for _, path := range []string{"/authenticate", "/file/ls?path=/", "/file/upload?path=/a"} {
		received, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		received.Body.Close()
		if received.StatusCode != 405 || received.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %s", path, received.Status)
		}
	}
}

func TestFolderIsListedWithUploads(t *testing.T) {
	server := NewServer(t)
	token := logIn(t, server)
	names := func(folder string) string {
		t.Helper()
		received := post(t, server.URL+"/file/ls?path="+url.QueryEscape(folder), token, "", nil)
		var list struct {
			Ls []struct {
				Filename string
				Size     int
				IsDir    bool `json:"is_dir"`
			}
		}
		if err := json.Unmarshal([]byte(received.body), &list); received.StatusCode != 200 || err != nil {
			t.Fatal(received.Status, received.body, err)
		}
		var lines []string
		for _, entry := range list.Ls {
			if entry.IsDir {
				entry.Filename += "/"
			}
			lines = append(lines, entry.Filename)
		}
		return strings.Join(lines, " ")
	}
	if got := names("/"); got != "invoices/ readme.txt übersicht 2025.csv" {
		t.Error(got)
	}
	raw := post(t, server.URL+"/file/upload?path=/reports/2026/may.csv", token, "text/csv", strings.NewReader("a,b\n"))
	if raw.StatusCode != 200 {
		t.Fatal(raw.Status, raw.body)
	}
	var body bytes.Buffer
	writer := multipart.NewWriter(&body)
	_ = writer.WriteField("comment", "not the file")
	part, err := writer.CreateFormFile("data", "june.csv")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(part, "c,d\n")
	_ = writer.Close()
	multi := post(t, server.URL+"/file/upload?path=/reports/2026/june.csv", token, writer.FormDataContentType(), &body)
	if multi.StatusCode != 200 {
		t.Fatal(multi.Status, multi.body)
	}
	for folder, want := range map[string]string{
		"/": "invoices/ readme.txt reports/ übersicht 2025.csv", "/reports/": "2026/", "/reports/2026": "june.csv may.csv",
		"/invoices": "",
	} {
		if got := names(folder); got != want {
			t.Errorf("%s: %s", folder, got)
		}
	}
	for path, want := range map[string]string{"/reports/2026/may.csv": "a,b\n", "/reports/2026/june.csv": "c,d\n"} {
		if content, ok := server.File(path); !ok || string(content) != want {
			t.Errorf("%s: %q", path, content)
		}
	}
	if _, ok := server.File("/readme.txt"); ok {
		t.Error("a file that was not uploaded has a content")
	}
}

func TestInvalidUploadsAreRefused(t *testing.T) {
	server := NewServer(t)
	token := logIn(t, server)
	for _, test := range []struct{ path, contentType, body string }{
		{"", "", "x"}, {"name", "", "x"}, {"/", "", "x"}, {"/folder/", "", "x"}, {"/a/../b", "", "x"}, {"/invoices", "", "x"},
		{"/readme.txt/a", "", "x"}, {"/a", "multipart/form-data; boundary=x", "--x--\r\n"}, {"/a", "multipart/form-data", "x"},
	} {
		received := post(t, server.URL+"/file/upload?path="+url.QueryEscape(test.path), token, test.contentType, strings.NewReader(test.body))
		if received.StatusCode != 400 || !strings.HasPrefix(received.body, `{"error":`) {
			t.Errorf("%q: %s %s", test.path, received.Status, received.body)
		}
	}
	if received := post(t, server.URL+"/file/ls?path=/nowhere", token, "", nil); received.StatusCode != 404 {
		t.Error(received.Status)
	}
}

func TestOnlyValidTokensReachFiles(t *testing.T) {
	server, other := NewServer(t), NewServer(t)
	expired, foreign := logIn(t, server), logIn(t, other)
	server.ExpireTokens()
	valid := logIn(t, server)
	for path, body := range map[string]string{"/file/ls?path=/": "", "/file/upload?path=/a": strings.Repeat("x", 8<<20)} {
		for _, token := range []string{"", "unknown", expired, foreign} {
			received := post(t, server.URL+path, token, "", strings.NewReader(body))
			if received.StatusCode != 403 || received.body != `{"error":"Access denied"}` {
				t.Errorf("%s with %q: %s %s", path, token, received.Status, received.body)
			}
		}
		if received := post(t, server.URL+path, valid, "", strings.NewReader(body)); received.StatusCode != 200 {
			t.Error(received.Status, received.body)
		}
	}
}

func TestHandlerReplacesTheAccounts(t *testing.T) {
	server := NewServer(t)
	server.HandleLogin(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	if received := post(t, server.URL+"/authenticate", "", form, nil); received.StatusCode != 418 {
		t.Error(received.Status)
	}
	server.HandleLogin(nil)
	logIn(t, server)
	if server.Logins() != 2 {
		t.Errorf("%d logins", server.Logins())
	}
}

func TestCloseEndsWaitingLogins(t *testing.T) {
	server := Start()
	fields := url.Values{"username": {"slow@example.com"}, "password": {Password}}
	result := make(chan error, 1)
	go func() {
		received, err := http.PostForm(server.URL+"/authenticate", fields)
		if err == nil {
			received.Body.Close()
		}
		result <- err
	}()
	for server.Logins() == 0 {
		runtime.Gosched()
	}
	server.Close()
	server.Close()
	if err := <-result; err == nil {
		t.Error("the login got a response")
	}
}
