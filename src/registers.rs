//! The processor's registers, which may hold copies of a secret that was moved.

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
use std::arch::asm;

/// Emits one instruction for each register. All are declared as clobbered, and the ABI lets a callee change them.
#[cfg(all(target_arch = "x86_64", not(miri)))]
macro_rules! clear {
    (zmm $($number:literal)*) => {
        asm!($(concat!("vpxord zmm", $number, ", zmm", $number, ", zmm", $number)),*,
            clobber_abi("sysv64"), options(nomem, nostack, preserves_flags))
    };
    (xmm $($number:literal)*) => {
        asm!($(concat!("xorps xmm", $number, ", xmm", $number)),*,
            clobber_abi("sysv64"), options(nomem, nostack, preserves_flags))
    };
    ($($name:literal)*) => {
        asm!($(concat!("xor ", $name, ", ", $name)),*, clobber_abi("sysv64"), options(nomem, nostack))
    };
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
macro_rules! clear {
    (v $($number:literal)*) => {
        asm!($(concat!("movi v", $number, ".2d, #0")),*,
            clobber_abi("C"), options(nomem, nostack, preserves_flags))
    };
    (x $($number:literal)*) => {
        asm!($(concat!("mov x", $number, ", xzr")),*,
            clobber_abi("C"), options(nomem, nostack, preserves_flags))
    };
}

/// Clears the caller-saved registers on x86-64 and AArch64, before the host's code runs. Otherwise the dynamic loader
/// would write them to the host's stack when it resolves a function that the host calls for the first time.
#[inline(never)]
pub fn wipe() {
    // SAFETY: only registers are changed that are declared as clobbered, and the processor has the instructions.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        // The C library's memcpy uses the additional registers of AVX-512.
        if std::arch::is_x86_feature_detected!("avx512f") {
            clear!(zmm 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
        }
        if std::arch::is_x86_feature_detected!("avx") {
            asm!("vzeroall", clobber_abi("sysv64"), options(nomem, nostack, preserves_flags));
        } else {
            clear!(xmm 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        }
        clear!("eax" "ecx" "edx" "esi" "edi" "r8d" "r9d" "r10d" "r11d");
    }
    // SAFETY: as above.
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    unsafe {
        clear!(v 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
        clear!(x 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17);
    }
}
