// The functions that each file of the program gives to the others. One file is built for each
// standard.
#ifndef MIXED_HPP
#define MIXED_HPP

#include "../check.hpp"

#include <array>

// The memory layout of the header's types.
using Layout = std::array<std::size_t, 11>;

struct Standard {
    long version;
    Layout layout;
    couchdrop::Options (*make_options)();
    couchdrop::CancelSource (*make_cancel_source)(bool *asked);
    couchdrop::Result<couchdrop::Token> (*log_in)(const couchdrop::Options &, const char *username);
    void (*log_in_or_throw)(const couchdrop::Options &, const char *username,
                            couchdrop::Token *token);
    couchdrop::Result<void> (*connect)(const couchdrop::Options &, couchdrop::CallOptions);
    // Takes a result that another file has made. Returns true if it is as expected.
    bool (*takes)(couchdrop::Result<couchdrop::Token>, cd_code expected);
    bool (*catches)(void (*throwing)(const couchdrop::Options &, const char *, couchdrop::Token *),
                    const couchdrop::Options &);
};

Standard standard_17();
Standard standard_20();
Standard standard_23();

// From a file built with -fno-exceptions, which exchanges no type of the header.
bool logs_in_without_exceptions();

#endif
