//go:build cgo

package couchdrop

import (
	"go/ast"
	"testing"
)

// TestEveryExportedNameIsExplained also checks fields and methods.
func TestEveryExportedNameIsExplained(t *testing.T) {
	explained := 0
	explain := func(name *ast.Ident, comments ...*ast.CommentGroup) {
		if !name.IsExported() {
			return
		}
		explained++
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
				explain(node.Name, node.Doc)
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
				explain(node.Name, node.Doc)
			case *ast.ValueSpec:
				for _, name := range node.Names {
					explain(name, node.Doc, node.Comment)
				}
			case *ast.Field:
				for _, name := range node.Names {
					explain(name, node.Doc, node.Comment)
				}
			}
			return true
		})
	}
	if explained < 100 {
		t.Errorf("%d names", explained)
	}
}
