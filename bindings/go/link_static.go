//go:build cgo && !couchdrop_dynamic && linux && (amd64 || arm64)

package couchdrop

/*
#cgo CFLAGS: -I${SRCDIR}
#cgo linux,amd64,!couchdrop_musl LDFLAGS: ${SRCDIR}/lib/linux_amd64/libcouchdrop.a
#cgo linux,arm64,!couchdrop_musl LDFLAGS: ${SRCDIR}/lib/linux_arm64/libcouchdrop.a
#cgo linux,amd64,couchdrop_musl LDFLAGS: ${SRCDIR}/lib/linux_amd64_musl/libcouchdrop.a
#cgo linux,arm64,couchdrop_musl LDFLAGS: ${SRCDIR}/lib/linux_arm64_musl/libcouchdrop.a
#cgo couchdrop_musl CFLAGS: -DCOUCHDROP_MUSL
#cgo LDFLAGS: -lm -lpthread -ldl

#include <features.h>

#if defined(__x86_64__) && !defined(COUCHDROP_MUSL)
#define COUCHDROP_ARCHIVE "lib/linux_amd64/libcouchdrop.a"
#elif defined(__x86_64__)
#define COUCHDROP_ARCHIVE "lib/linux_amd64_musl/libcouchdrop.a"
#elif !defined(COUCHDROP_MUSL)
#define COUCHDROP_ARCHIVE "lib/linux_arm64/libcouchdrop.a"
#else
#define COUCHDROP_ARCHIVE "lib/linux_arm64_musl/libcouchdrop.a"
#endif

#if defined(__GLIBC__) && defined(COUCHDROP_MUSL)
#error "couchdrop: the tag couchdrop_musl is for systems with musl; this one has glibc: build without it"
#elif !defined(__GLIBC__) && !defined(COUCHDROP_MUSL)
#error "couchdrop: this system has musl in place of glibc: build with -tags couchdrop_musl"
#elif !__has_include(COUCHDROP_ARCHIVE)
#error "couchdrop: the static library is missing from the folder lib. In a clone of libcouchdrop run `make lib`; or install the library and build with -tags couchdrop_dynamic"
#endif
*/
import "C"
