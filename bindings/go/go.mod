module libcouchdrop.invalid/couchdrop

go 1.19
