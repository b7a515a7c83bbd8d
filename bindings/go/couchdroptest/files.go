package couchdroptest

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"sort"
	"strings"
	"time"
)

// entry is a file or a folder.
type entry struct {
	isFolder bool
	size     int
	modTime  int64 // in seconds since 1970
	// The content of an uploaded file; nil for other entries.
	content []byte
}

// listed is the form of an entry in a list.
type listed struct {
	Filename string `json:"filename"`
	Size     int    `json:"size"`
	ModTime  int64  `json:"modtime"`
	IsDir    bool   `json:"is_dir"`
}

// initialEntries returns the entries of a new server by their paths.
func initialEntries() map[string]entry {
	return map[string]entry{
		"/":                   {isFolder: true},
		"/invoices":           {isFolder: true, modTime: 1753000000},
		"/readme.txt":         {size: 1204, modTime: 1753086400},
		"/übersicht 2025.csv": {size: 88310, modTime: 1753172800},
	}
}

// list responds with the entries of a folder, sorted by name.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	folder := path.Clean(r.URL.Query().Get("path"))
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.tokens[r.Header.Get("token")] {
		writeError(w, http.StatusForbidden, "Access denied")
		return
	}
	if !s.entries[folder].isFolder {
		writeError(w, http.StatusNotFound, "No such folder")
		return
	}
	entries := []listed{}
	for name, entry := range s.entries {
		if name != "/" && path.Dir(name) == folder {
			entries = append(entries, listed{path.Base(name), entry.size, entry.modTime, entry.isFolder})
		}
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Filename < entries[j].Filename })
	writeJSON(w, http.StatusOK, map[string][]listed{"ls": entries})
}

// upload stores a file in memory, and creates its folders.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("path")
	// The body comes first, even for a request that is refused: a client that is still sending could miss the response.
	content, err := readUpload(r)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.tokens[r.Header.Get("token")] {
		writeError(w, http.StatusForbidden, "Access denied")
		return
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	if !strings.HasPrefix(name, "/") || path.Clean(name) != name || name == "/" {
		writeError(w, http.StatusBadRequest, "The path must be /folder/name")
		return
	}
	now := time.Now().Unix()
	if s.entries[name].isFolder {
		writeError(w, http.StatusBadRequest, "The path is a folder")
		return
	}
	for folder := path.Dir(name); folder != "/"; folder = path.Dir(folder) {
		existing, exists := s.entries[folder]
		if exists && !existing.isFolder {
			writeError(w, http.StatusBadRequest, "A folder of the path is a file")
			return
		}
	}
	for folder := path.Dir(name); !s.entries[folder].isFolder; folder = path.Dir(folder) {
		s.entries[folder] = entry{isFolder: true, modTime: now}
	}
	s.entries[name] = entry{size: len(content), modTime: now, content: content}
	writeJSON(w, http.StatusOK, struct{}{})
}

// readUpload returns the raw body, or the field data of a multipart form. The result is not nil without an error.
func readUpload(r *http.Request) ([]byte, error) {
	mediaType, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "multipart/form-data" {
		return io.ReadAll(r.Body)
	}
	form := multipart.NewReader(r.Body, parameters["boundary"])
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			return nil, errors.New("the form has no field data")
		}
		if err != nil {
			return nil, err
		}
		if part.FormName() == "data" {
			content, err := io.ReadAll(part)
			if err != nil {
				return nil, err
			}
			// The rest of the body, so that the connection can be reused.
			_, err = io.Copy(io.Discard, r.Body)
			return content, err
		}
	}
}
