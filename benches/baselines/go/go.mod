module baselines

go 1.19

require libcouchdrop.invalid/couchdrop v1.0.0

require golang.org/x/oauth2 v0.24.0

replace libcouchdrop.invalid/couchdrop => ../../../bindings/go
