// Cancels a login: by a CancelSource, by its check, and from C++20 on by a std::stop_token.
#include "check.hpp"

#include "../c/server.h"

#include <stdexcept>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using couchdrop::authenticate;
using couchdrop::CancelSource;
using couchdrop::Credentials;
using couchdrop::Options;
using couchdrop::try_authenticate;
using couchdrop::try_connect;

namespace {

// The fake server never responds to it.
const Credentials slow = {"slow@example.com", PASSWORD};

class Server {
  public:
    Server() : server_(server_start()) {}
    ~Server() { close(server_.listener); }
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;

    Options options() const { return Options().base_url(server_.url).max_retries(0); }

    // Returns the login's connection once the login waits for a response.
    int wait_for_login() const {
        const int connection = server_accept(&server_);
        server_read_request(connection);
        return connection;
    }

  private:
    server server_;
};

// Calls `log_in` on another thread, and `stop` once the login waits. The login must end with
// CD_ERR_CANCELLED within the promised 50 ms.
template <class LogIn, class Stop>
void check_stopped(const Server &server, LogIn log_in, Stop stop) {
    cd_code code = CD_OK;
    std::thread thread([&] { code = log_in(); });
    const int connection = server.wait_for_login();
    const std::int64_t stopped = now_ms();
    stop();
    thread.join();
    CHECK_CODE(CD_ERR_CANCELLED, code);
    CHECK(now_ms() - stopped < 50 + slack_ms());
    close(connection);
}

void cancel_source_stops_call() {
    const Server server;
    const Options options = server.options();
    // Triggered through the object that it was moved to.
    CancelSource first;
    CHECK(!first.is_triggered());
    CancelSource cancel = std::move(first);
    check_stopped(
        server,
        [&] { return try_authenticate({"ada", PASSWORD}, options, cancel).error().code(); },
        [&] { cancel.trigger(); });
    CHECK(cancel.is_triggered() && cd_cancel_is_triggered(cancel.get()) == 1);

    // The trigger is permanent, and nothing is sent: this listener accepts no connection.
    CHECK_THROWS(CD_ERR_CANCELLED, authenticate({"ada", PASSWORD}, options, {cancel, 5s}));
    CHECK(try_authenticate({"ada", PASSWORD}, options, cancel).error().attempts() == 0);
    CHECK_CODE(CD_ERR_CANCELLED, try_connect(options, cancel).error().code());
}

void check_stops_call() {
    const Options options = options_for_fake_server();
    int calls = 0;
    CancelSource third([&calls] { return ++calls == 3; });
    // The check moves with the source.
    const CancelSource cancel = std::move(third);
    CHECK_CODE(CD_ERR_CANCELLED, try_authenticate(slow, options, {cancel, 10s}).error().code());
    CHECK(calls == 3);
    CHECK(!cancel.is_triggered());

    // An exception in the check stops the call and does not propagate.
    const CancelSource throwing([]() -> bool { throw std::runtime_error("its own trouble"); });
    CHECK_CODE(CD_ERR_CANCELLED, try_authenticate(slow, options, {throwing, 10s}).error().code());

    // An empty function means no check.
    const CancelSource none{CancelSource::Check()};
    CHECK_CODE(CD_ERR_TIMEOUT, try_authenticate(slow, options, {none, 100ms}).error().code());
}

#if defined(__cpp_lib_jthread)

void stop_token_stops_call() {
    const Server server;
    const Options options = server.options();
    std::stop_source source;
    check_stopped(
        server,
        [&] {
            return thrown([&] { (void)authenticate({"ada", "pw"}, options, source.get_token()); });
        },
        [&] { source.request_stop(); });

    // A token that is already stopped, and one that cannot be stopped.
    CHECK_THROWS(CD_ERR_CANCELLED, authenticate({"ada", "pw"}, options, source.get_token(), 5s));
    CHECK(try_authenticate({"ada", "pw"}, options, source.get_token()).error().attempts() == 0);
    CHECK_CODE(CD_ERR_CANCELLED, try_connect(options, source.get_token()).error().code());
    CHECK_THROWS(CD_ERR_CANCELLED, couchdrop::connect(options, source.get_token(), 5s));
    const Options others = options_for_fake_server();
    CHECK(authenticate({ADA, PASSWORD}, others, std::stop_token()).size() == 36);
    couchdrop::connect(others, std::stop_token());
    CHECK_CODE(CD_ERR_TIMEOUT,
               try_authenticate(slow, others, std::stop_token(), 100ms).error().code());

    // As with a std::jthread: leaving its scope stops the login.
    cd_code code = CD_OK;
    int connection = -1;
    {
        const std::jthread thread([&](std::stop_token stop) {
            code = try_authenticate({"ada", "pw"}, options, stop).error().code();
        });
        connection = server.wait_for_login();
    }
    CHECK_CODE(CD_ERR_CANCELLED, code);
    close(connection);
}

#else

void stop_token_stops_call() {}

#endif

} // namespace

int main() {
    cancel_source_stops_call();
    check_stops_call();
    stop_token_stops_call();
    return checks_result();
}
