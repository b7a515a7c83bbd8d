//go:build cgo

package couchdrop

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// unused lists the names of the header that this package does not need. cgo checks the types of all others.
var unused = map[string]string{
	"cd_authenticate":          "cd_authenticate_with has more parameters",
	"cd_cancel_is_triggered":   "the call knows it",
	"cd_cancel_set_check":      "for languages that must run their own signal handlers",
	"cd_error_code":            "the call returned it",
	"cd_version_number":        "cd_version returns the same",
	"cd_abi_version":           "the soname contains it",
	"COUCHDROP_ABI_VERSION":    "the soname contains it",
	"COUCHDROP_VERSION":        "compared below",
	"COUCHDROP_NODISCARD":      "for C",
	"COUCHDROP_H":              "for C",
	"COUCHDROP_VERSION_NUMBER": "for C",
}

func header(t *testing.T) string {
	t.Helper()
	path := "couchdrop.h"
	// A different header shows that these tests detect changes.
	if other := os.Getenv("COUCHDROP_HEADER"); other != "" {
		path = other
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sources parses this package without its tests.
func sources(t *testing.T) []*ast.File {
	t.Helper()
	packages, err := parser.ParseDir(token.NewFileSet(), ".", func(file fs.FileInfo) bool {
		return !strings.HasSuffix(file.Name(), "_test.go")
	}, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, file := range packages["couchdrop"].Files {
		files = append(files, file)
	}
	return files
}

// A module must contain all its files, so it contains copies.
func TestHeaderAndLicensesMatchProject(t *testing.T) {
	for copied, original := range map[string]string{
		"couchdrop.h": "../../include/couchdrop.h", "LICENSE-APACHE": "../../LICENSE-APACHE", "LICENSE-MIT": "../../LICENSE-MIT",
	} {
		want, err := os.ReadFile(original)
		if os.IsNotExist(err) {
			skipOrFail(t, "this module is not in the project's repository")
		}
		must(t, err)
		got, err := os.ReadFile(copied)
		must(t, err)
		if string(got) != string(want) {
			t.Errorf("%s differs from %s: copy it", copied, original)
		}
	}
}

func TestHeaderVersionMatchesLibrary(t *testing.T) {
	version := regexp.MustCompile(`#define COUCHDROP_VERSION "(.*)"`).FindStringSubmatch(header(t))
	if version == nil || version[1] != Version() {
		t.Errorf("the header is of version %q, the library of %s", version, Version())
	}
}

func TestEveryCodeOfTheHeaderIsHere(t *testing.T) {
	here := map[string]string{} // Go's name by C's
	sentinels := map[string]string{}
	for _, file := range sources(t) {
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			switch value := spec.Values[0].(type) {
			case *ast.SelectorExpr:
				here[value.Sel.Name] = spec.Names[0].Name
			case *ast.CallExpr:
				if function, ok := value.Fun.(*ast.Ident); ok && function.Name == "codeError" {
					sentinels[value.Args[0].(*ast.Ident).Name] = spec.Names[0].Name
				}
			}
			return true
		})
	}
	codes := regexp.MustCompile(`(?m)^ +(CD_[A-Z0-9_]+) = (\d+),$`).FindAllStringSubmatch(header(t), -1)
	if len(codes) < 25 {
		t.Fatalf("%d codes in the header", len(codes))
	}
	for _, code := range codes {
		name, value := code[1], code[2]
		words := strings.Replace(strings.Replace(name, "CD_ERR_", "", 1), "CD_", "", 1)
		if got := strings.ToUpper(strings.TrimPrefix(here[name], "Code")); got != strings.ReplaceAll(words, "_", "") {
			t.Errorf("%s is called %q in Go", name, here[name])
		}
		if name != "CD_OK" && strings.TrimPrefix(sentinels[here[name]], "Err") != strings.TrimPrefix(here[name], "Code") {
			t.Errorf("the error of %s is called %q", name, sentinels[here[name]])
		}
		number, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		if got := Code(number).String(); got != name {
			t.Errorf("code %d is called %s by the library, %s by the header", number, got, name)
		}
	}
}

func TestEveryNameOfTheHeaderIsUsed(t *testing.T) {
	used := map[string]bool{}
	for _, file := range sources(t) {
		ast.Inspect(file, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok {
				if of, ok := selector.X.(*ast.Ident); ok && of.Name == "C" {
					used[selector.Sel.Name] = true
				}
			}
			return true
		})
	}
	// The C preamble calls these functions.
	used["cd_options_set_logger"] = used["couchdrop_go_set_logger"]
	used["cd_authenticate_with"] = used["couchdrop_go_authenticate"]
	used["cd_connect"] = used["couchdrop_go_connect"]
	used["cd_session_token"] = used["couchdrop_go_session_token"]
	used["cd_session_peek"] = used["couchdrop_go_session_peek"]

	comments := regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	code := comments.ReplaceAllString(header(t), "")
	names := regexp.MustCompile(`\b(cd_[a-z0-9_]+)\(|#define ((?:CD|COUCHDROP)_[A-Z0-9_]+)`).FindAllStringSubmatch(code, -1)
	if len(names) < 45 {
		t.Fatalf("%d names in the header", len(names))
	}
	seen := map[string]bool{}
	for _, match := range names {
		name := match[1] + match[2]
		seen[name] = true
		if _, known := unused[name]; used[name] == known {
			t.Errorf("%s: used is %v, but listed as unused is %v", name, used[name], known)
		}
	}
	for name := range unused {
		if !seen[name] {
			t.Errorf("%s is not in the header", name)
		}
	}
}

func TestDefaultsMatchHeader(t *testing.T) {
	for function, want := range map[string]time.Duration{
		"cd_options_set_timeout_ms":         defaultTimeout,
		"cd_options_set_connect_timeout_ms": defaultConnectTimeout,
	} {
		// The doc comment of the function as one line.
		text := header(t)
		text = text[:strings.Index(text, function+"(cd_options")]
		text = regexp.MustCompile(`\s+\* ?`).ReplaceAllString(text[strings.LastIndex(text, "/**"):], " ")
		limits := regexp.MustCompile(`1 to (\d+) ms, (\d+) where nothing is set`).FindStringSubmatch(text)
		if limits == nil || limits[1] != strconv.Itoa(int(maxTimeout/time.Millisecond)) || limits[2] != strconv.Itoa(int(want/time.Millisecond)) {
			t.Errorf("%s: the header says %q, this package %v", function, limits, want)
		}
	}
}

func TestMinimumAgeMatchesHeader(t *testing.T) {
	want := regexp.MustCompile(`rejected token is replaced \(default (\d+)\)`).FindStringSubmatch(header(t))
	if want == nil || want[1] != strconv.Itoa(defaultMinAge) {
		t.Errorf("the header says %q, this package %d", want, defaultMinAge)
	}
}
