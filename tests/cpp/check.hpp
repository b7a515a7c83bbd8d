// Shared code of the C++ test programs, in addition to that shared with the C programs.
#ifndef CHECK_HPP
#define CHECK_HPP

#include "../c/check.h"

#include <couchdrop.hpp>

// Options that lead to the fake server over TLS, with short waits before retries.
inline couchdrop::Options options_for_fake_server() {
    using std::chrono::milliseconds;
    return couchdrop::Options()
        .base_url(environment("COUCHDROP_BASE_URL"))
        .ca_file(environment("COUCHDROP_CA_FILE"))
        .backoff(milliseconds(1), milliseconds(5));
}

#if defined(__cpp_exceptions)
// The code that a call throws, or CD_OK if it throws nothing.
template <class Call> cd_code thrown(Call call) {
    try {
        call();
    } catch (const couchdrop::Error &error) {
        return error.code();
    }
    return CD_OK;
}

#define CHECK_THROWS(code, expression) CHECK_CODE(code, thrown([&] { (void)(expression); }))
#endif

#endif
