// Declarations for fragments in the documentation, which replace the mark and are never run.
#include <chrono>
#include <couchdrop.hpp>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
// INCLUDES

using namespace std::chrono_literals;

int fragment(const std::string &username, const std::string &password, couchdrop::Options options,
             couchdrop::CancelSource cancel, couchdrop::Token token, const couchdrop::Error &error) {
    {
        // FRAGMENT
    }
    return 0;
}
