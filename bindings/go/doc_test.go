//go:build cgo

package couchdrop

import (
	"go/ast"
	"testing"
)

// TestExportedNamesAreDocumented also checks fields and methods.
func TestExportedNamesAreDocumented(t *testing.T) {
	documented := 0
	checkDocumented := func(name *ast.Ident, comments ...*ast.CommentGroup) {
		if !name.IsExported() {
			return
		}
		documented++
		for _, comment := range comments {
			if comment != nil {
				return
			}
		}
		t.Errorf("%s has no comment", name.Name)
	}
	for _, file := range sources(t) {
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				checkDocumented(node.Name, node.Doc)
				return false
			case *ast.GenDecl:
				// The only name of a group may use the comment of the group.
				if len(node.Specs) == 1 {
					switch spec := node.Specs[0].(type) {
					case *ast.TypeSpec:
						spec.Doc = node.Doc
					case *ast.ValueSpec:
						spec.Doc = node.Doc
					}
				}
			case *ast.TypeSpec:
				checkDocumented(node.Name, node.Doc)
			case *ast.ValueSpec:
				for _, name := range node.Names {
					checkDocumented(name, node.Doc, node.Comment)
				}
			case *ast.Field:
				for _, name := range node.Names {
					checkDocumented(name, node.Doc, node.Comment)
				}
			}
			return true
		})
	}
	if documented < 100 {
		t.Errorf("%d names", documented)
	}
}
