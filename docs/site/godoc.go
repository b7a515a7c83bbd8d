// Prints the reference of the Go package as HTML: godoc FOLDER
//
// Exits with 1 if an exported name has no comment.
//
// It selects names and formats comments with Go's own packages (go/doc, go/doc/comment), as `go doc` does.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"html"
	"io/fs"
	"log"
	"os"
	"path"
	"regexp"
	"strings"
)

var files = token.NewFileSet()

func main() {
	log.SetFlags(0)
	parsed, err := parser.ParseDir(files, os.Args[1], func(fs.FileInfo) bool { return true }, parser.ParseComments)
	if err != nil {
		log.Fatal(err)
	}
	var sources []*ast.File
	for _, name := range []string{"couchdrop", "couchdrop_test"} {
		for file, source := range parsed[name].Files {
			// Files for builds without cgo declare empty versions of the same names.
			if path.Base(file) != "nocgo.go" {
				sources = append(sources, source)
			}
		}
	}
	pkg, err := doc.NewFromFiles(files, sources, "libcouchdrop.invalid/couchdrop")
	if err != nil {
		log.Fatal(err)
	}
	page{pkg}.write()
	if len(unexplained) > 0 {
		log.Fatalf("Go: exported, but not explained: %s", strings.Join(unexplained, ", "))
	}
}

var unexplained []string

// explained records a name that none of the comments describes.
func explained(name string, comments ...string) {
	if token.IsExported(name[strings.LastIndex(name, ".")+1:]) && strings.TrimSpace(strings.Join(comments, "")) == "" {
		unexplained = append(unexplained, name)
	}
}

type page struct{ *doc.Package }

func (p page) write() {
	fmt.Printf("<h1>Go: package %s</h1>\n<pre>import %q</pre>\n", p.Name, p.ImportPath)
	p.comment(p.Doc)
	p.examples(p.Examples)
	p.values("Constants", p.Consts)
	p.values("Variables", p.Vars)
	for _, function := range p.Funcs {
		p.function(function)
	}
	for _, typ := range p.Types {
		fmt.Printf("<h2 id=%q>type %[1]s</h2>\n", typ.Name)
		fields(typ)
		p.declaration(typ.Decl)
		p.comment(typ.Doc)
		p.examples(typ.Examples)
		p.values("", typ.Consts)
		p.values("", typ.Vars)
		for _, function := range append(typ.Funcs, typ.Methods...) {
			p.function(function)
		}
	}
}

func (p page) values(title string, values []*doc.Value) {
	if title != "" && len(values) > 0 {
		fmt.Printf("<h2>%s</h2>\n", title)
	}
	for _, value := range values {
		for _, name := range value.Names {
			fmt.Printf("<a id=%q></a>", name)
		}
		own := value.Doc
		if value.Decl.Lparen.IsValid() {
			// The comment of a group does not explain each of its names.
			own = ""
		}
		for _, spec := range value.Decl.Specs {
			spec := spec.(*ast.ValueSpec)
			for _, name := range spec.Names {
				explained(name.Name, own, spec.Doc.Text(), spec.Comment.Text())
			}
		}
		p.declaration(value.Decl)
		p.comment(value.Doc)
	}
}

func (p page) function(function *doc.Func) {
	name, title := function.Name, "func "+function.Name
	if function.Recv != "" {
		name = strings.TrimPrefix(function.Recv, "*") + "." + name
		title = "func (" + function.Recv + ") " + function.Name
	}
	explained(name, function.Doc)
	fmt.Printf("<h3 id=%q>%s</h3>\n", name, html.EscapeString(title))
	p.declaration(function.Decl)
	p.comment(function.Doc)
	p.examples(function.Examples)
}

func (p page) declaration(declaration ast.Decl) {
	var source bytes.Buffer
	if err := format.Node(&source, files, declaration); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("<pre>%s</pre>\n", html.EscapeString(source.String()))
}

// go/doc/comment takes the pattern of a URL for a link: https://HOST[:PORT].
var noLink = regexp.MustCompile(`<a href="[^"]*\[[^"]*">([^<]*)</a>`)

func (p page) comment(text string) {
	printer := p.Printer()
	// The documentation of the standard library.
	printer.DocLinkBaseURL = "https://pkg.go.dev"
	os.Stdout.Write(noLink.ReplaceAll(printer.HTML(p.Parser().Parse(text)), []byte("$1")))
}

// fields adds the targets of links to fields of a struct.
func fields(typ *doc.Type) {
	explained(typ.Name, typ.Doc)
	for _, spec := range typ.Decl.Specs {
		if body, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType); ok {
			for _, field := range body.Fields.List {
				for _, name := range field.Names {
					explained(typ.Name+"."+name.Name, field.Doc.Text(), field.Comment.Text())
					fmt.Printf("<a id=%q></a>", typ.Name+"."+name.Name)
				}
			}
		}
	}
}

func (p page) examples(examples []*doc.Example) {
	for _, example := range examples {
		var source bytes.Buffer
		if err := format.Node(&source, files, example.Code); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("<details><summary>Example %s</summary><pre>%s</pre></details>\n",
			html.EscapeString(example.Suffix), html.EscapeString(source.String()))
	}
}
