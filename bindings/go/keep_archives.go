//go:build couchdrop_never_built

package couchdrop

// `go mod vendor` keeps only the folders of packages that some build imports. No build uses this build tag.
import (
	_ "libcouchdrop.invalid/couchdrop/lib/linux_amd64"
	_ "libcouchdrop.invalid/couchdrop/lib/linux_amd64_musl"
	_ "libcouchdrop.invalid/couchdrop/lib/linux_arm64"
	_ "libcouchdrop.invalid/couchdrop/lib/linux_arm64_musl"
)
