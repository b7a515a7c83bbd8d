module libcouchdrop.invalid/cases

go 1.19

require libcouchdrop.invalid/couchdrop v0.0.0

replace libcouchdrop.invalid/couchdrop => ../../../bindings/go
