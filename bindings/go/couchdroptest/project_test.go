package couchdroptest

import (
	"os"
	"testing"
)

// ReadProjectFile reads a file of the project's repository. A downloaded module does not have the repository: then the
// test is skipped. If CI is set, it fails instead.
func ReadProjectFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile("../../../" + path)
	if os.IsNotExist(err) && os.Getenv("CI") == "" {
		t.Skip("this module is not in the project's repository")
	}
	if err != nil {
		t.Fatal(err)
	}
	return content
}
