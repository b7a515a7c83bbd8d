"""The proxy of a login by the environment, compared with the real curl.

curl and the library log in with the variables of each row, with a separate proxy for each variable that names one. The
results must be those of the row. If they differ on purpose, the row says how and why.

The rows hold for curl 7.88 (Debian 12) and 8.14 (Debian 13). They leave out a case in which the two differ: exceptions
separated only by white space. The newer curl treats them as one exception, and the older one and the library as two.
"""

import collections
import concurrent.futures
import ipaddress
import re
import subprocess
import urllib.parse

import probe
import recorder
import world

HOST = "api.couchdrop.test"
V4 = "192.0.2.7"
V6 = "[2001:db8::7]"

# A proxy's URL; the port is that of its variable.
HTTP = "http://127.0.0.1:{port}"

# The result of a login without a proxy here, where the names and addresses do not exist.
DIRECT = "direct"
# Nothing was sent, because the variable can't be used.
REFUSED = "refused"

Row = collections.namedtuple("Row", "url variables curl library why")
ROWS = []


def row(url, curl, library=None, why="", **variables):
    """`curl` and `library` are their results: DIRECT, REFUSED, the unreachable host, or the recorder's entries."""
    if "://" not in url:
        url = f"https://{url}"
    ROWS.append(Row(url, variables, curl, library or curl, why))


def through(variable, authority=f"{HOST}:443", **variables):
    row(authority.replace(":443", ""), f"{variable} CONNECT {authority}", **variables)


def excepted(host, no_proxy):
    row(host, DIRECT, https_proxy=HTTP, no_proxy=no_proxy)


def not_excepted(host, no_proxy):
    row(host, f"https_proxy CONNECT {host}:443", https_proxy=HTTP, no_proxy=no_proxy)


# ---- which variable

row(HOST, DIRECT)
through("https_proxy", https_proxy=HTTP)
through("HTTPS_PROXY", HTTPS_PROXY=HTTP)
through("all_proxy", all_proxy=HTTP)
through("ALL_PROXY", ALL_PROXY=HTTP)
through("https_proxy", https_proxy=HTTP, HTTPS_PROXY=HTTP, all_proxy=HTTP, ALL_PROXY=HTTP)
through("HTTPS_PROXY", HTTPS_PROXY=HTTP, all_proxy=HTTP, ALL_PROXY=HTTP)
through("all_proxy", all_proxy=HTTP, ALL_PROXY=HTTP)
# Empty means unset.
row(HOST, DIRECT, https_proxy="", HTTPS_PROXY="", all_proxy="", ALL_PROXY="")
through("HTTPS_PROXY", https_proxy="", HTTPS_PROXY=HTTP)
through("ALL_PROXY", https_proxy="", HTTPS_PROXY="", all_proxy="", ALL_PROXY=HTTP)
# Variables of other schemes do not apply to https.
row(HOST, DIRECT, http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9", ftp_proxy="http://127.0.0.1:9")

# ---- the value of the variable

through("https_proxy", https_proxy="127.0.0.1:{port}")
through("https_proxy", https_proxy="HTTP://127.0.0.1:{port}")
through("https_proxy", https_proxy="http://127.0.0.1:{port}/")
through("https_proxy", https_proxy="127.0.0.1:{port}/")
through("https_proxy", https_proxy="http://localhost:{port}")
through("https_proxy", f"{HOST}:8443", https_proxy=HTTP)
through("https_proxy", f"{V4}:443", https_proxy=HTTP)
through("https_proxy", f"{V6}:443", https_proxy=HTTP)
row("[2001:DB8:0:0::7]", f"https_proxy CONNECT {V6}:443", https_proxy=HTTP)
for who, sent in [
    ("user:secret", "user:secret"),
    ("user%40example.com:p%3Aw%2F%25", "user@example.com:p:w/%"),
    ("user:", "user:"),
    ("user", "user:"),
    ("us:er:name", "us:er:name"),
]:
    row(HOST, f"https_proxy CONNECT {HOST}:443 as {sent}", https_proxy=f"http://{who}@127.0.0.1:{{port}}")
    row(HOST, f"https_proxy CONNECT {HOST}:443 as {sent}", https_proxy=f"{who}@127.0.0.1:{{port}}")
row(HOST, f"all_proxy SOCKS5 {HOST}:443", all_proxy="socks5h://127.0.0.1:{port}")
row(HOST, f"https_proxy SOCKS5 {HOST}:443", https_proxy="SOCKS5H://127.0.0.1:{port}")
row(f"{HOST}:8443", f"all_proxy SOCKS5 {HOST}:8443 as user:p@ss", all_proxy="socks5h://user:p%40ss@127.0.0.1:{port}")
row(V4, f"all_proxy SOCKS5 {V4}:443", all_proxy="socks5h://127.0.0.1:{port}")
row(V4, f"all_proxy SOCKS5 {V4}:443", all_proxy="socks5://127.0.0.1:{port}")
row(V6, f"all_proxy SOCKS5 {V6}:443", all_proxy="socks5://127.0.0.1:{port}")
# The default port is 1080, also for an HTTP proxy.
row(HOST, "no server at 127.0.0.1:1080", https_proxy="http://127.0.0.1")
row(V4, "no server at 127.0.0.1:1080", https_proxy="127.0.0.1")
row(HOST, "no server at ::1:1080", https_proxy="http://[::1]/")
row(HOST, "no server at 127.0.0.1:1080", all_proxy="socks5h://127.0.0.1")
row(HOST, "no host nowhere.test", https_proxy="nowhere.test")
row(V4, "no host nowhere.test", https_proxy="http://user:secret@nowhere.test:3128")
for unusable in (
    "ftp://127.0.0.1:{port}",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:+{port}",
    "http://",
    "*",
    " ",
    " http://127.0.0.1:{port}",
    "http://127.0.0.1:{port}\n",
    "http://user:two words@127.0.0.1:{port}",
    "//127.0.0.1:{port}",
    "::1",
):
    row(HOST, REFUSED, https_proxy=unusable, HTTPS_PROXY=HTTP, all_proxy=HTTP)

# ---- exceptions: names

excepted(HOST, "*")
excepted(V4, "*")
excepted(V6, "*")
excepted(HOST, HOST)
excepted(HOST, "couchdrop.test")
excepted(HOST, ".couchdrop.test")
excepted(HOST, "test")
excepted(HOST, ".test")
excepted(HOST, "COUCHDROP.Test")
excepted("API.CouchDrop.test", "api.couchdrop.test")
excepted(HOST, "couchdrop.test.")
excepted(HOST, ".couchdrop.test.")
excepted(HOST, f"{HOST}.")
excepted(HOST, f".{HOST}")
excepted(HOST, "example.com,couchdrop.test")
excepted(HOST, "example.com, couchdrop.test")
excepted(HOST, " ,, couchdrop.test ,,")
excepted(f"{HOST}:8443", "couchdrop.test")
not_excepted(HOST, "drop.test")
not_excepted(HOST, "pi.couchdrop.test")
not_excepted(HOST, f"www.{HOST}")
not_excepted(HOST, "couchdrop.test..")
not_excepted(HOST, "..couchdrop.test")
not_excepted(HOST, "*.couchdrop.test")
not_excepted(HOST, ".")
not_excepted(HOST, "example.com,*")
not_excepted(HOST, "* ")
not_excepted(HOST, "couchdrop")
not_excepted(HOST, "api.*")
not_excepted(HOST, "couchdrop.test;example.com")
# Ports, schemes and brackets are not part of an exception.
not_excepted(HOST, f"{HOST}:443")
not_excepted(HOST, f"https://{HOST}")
not_excepted(V4, f"{V4}:443")

row(HOST, DIRECT, https_proxy=HTTP, no_proxy=HOST.upper())

# ---- exceptions: addresses

excepted(V4, V4)
excepted(V4, "192.0.2.0/24")
excepted(V4, "192.0.2.6/31")
excepted(V4, f"{V4}/32")
excepted(V4, "192.0.0.0/16, 10.0.0.0/8")
excepted(V4, "10.0.0.0/8,192.0.2.7")
excepted(V4, "128.0.0.0/1")
not_excepted(V4, "192.0.2.8")
not_excepted(V4, "192.0.3.0/24")
not_excepted(V4, "192.0.2.8/31")
not_excepted(V4, "192.0.2.0/33")
not_excepted(V4, "0.0.0.0/0")
not_excepted(V4, "192.0.2")
not_excepted(V4, "2.7")
not_excepted(V4, ".0.2.7")
not_excepted(V4, "192.0.2.")
not_excepted(V4, V6)
excepted(V6, "2001:db8::7")
excepted(V6, "2001:DB8::7")
excepted("[2001:DB8:0:0::7]", "2001:db8::7")
not_excepted(V6, "2001:db8::8")
not_excepted(V6, "2001:db9::/32")
not_excepted(V6, "2001:db8::/129")
not_excepted(V6, "::/0")
not_excepted(V6, V6)
not_excepted(HOST, "192.0.2.0/24")

# ---- which variable for the exceptions

row(HOST, DIRECT, https_proxy=HTTP, NO_PROXY="couchdrop.test")
row(HOST, DIRECT, ALL_PROXY=HTTP, NO_PROXY="couchdrop.test")
row(HOST, DIRECT, https_proxy=HTTP, no_proxy="", NO_PROXY="couchdrop.test")
row(HOST, DIRECT, https_proxy=HTTP, no_proxy="couchdrop.test", NO_PROXY="example.com")
through("https_proxy", https_proxy=HTTP, no_proxy="example.com", NO_PROXY="couchdrop.test")
through("https_proxy", https_proxy=HTTP, no_proxy=" ", NO_PROXY="couchdrop.test")
through("https_proxy", https_proxy=HTTP, no_proxy="", NO_PROXY="")
row(HOST, DIRECT, all_proxy="socks5h://127.0.0.1:{port}", no_proxy="couchdrop.test")

# ---- intended differences of the library

LOOPBACK = "this machine is reached without a proxy"
for loopback in ("localhost:9", "127.0.0.1:9", "127.9.9.9:9", "[::1]:9"):
    row(loopback, f"https_proxy CONNECT {loopback}", DIRECT, LOOPBACK, https_proxy=HTTP)
row("LOCALHOST:9", "https_proxy CONNECT LOCALHOST:9", DIRECT, LOOPBACK, https_proxy=HTTP)
row("http://127.0.0.1:9", "all_proxy POST", DIRECT, "plain http never goes through a proxy", all_proxy=HTTP)

UNKNOWN = "a proxy that the library can't use is an error, never a direct connection"
row(HOST, "https_proxy TLS", REFUSED, UNKNOWN, https_proxy="https://127.0.0.1:{port}")
row(V4, "all_proxy SOCKS4", REFUSED, UNKNOWN, all_proxy="socks4://127.0.0.1:{port}")
row(HOST, "all_proxy SOCKS4", REFUSED, UNKNOWN, all_proxy="socks4a://127.0.0.1:{port}")
row(V4, "all_proxy SOCKS4", REFUSED, UNKNOWN, all_proxy="socks://127.0.0.1:{port}")

URL = "the library does not correct a URL"
for corrected in (
    "http://127.0.0.1:{port}/path",
    "http://127.0.0.1:{port}?query",
    "http://127.0.0.1:{port}#fragment",
    "http:/127.0.0.1:{port}",
    "http://127.1:{port}",
    "http://2130706433:{port}",
    "http://%31%32%37.0.0.1:{port}",
):
    row(HOST, f"https_proxy CONNECT {HOST}:443", REFUSED, URL, https_proxy=corrected)
row(HOST, "no server at 127.0.0.1:1080", REFUSED, URL, https_proxy="http://127.0.0.1:")
row(HOST, f"https_proxy CONNECT {HOST}:443 as user:%zz", REFUSED, URL, https_proxy="http://user:%zz@127.0.0.1:{port}")
AT = "a password may contain an unescaped @; the host follows the last one"
row(HOST, REFUSED, f"https_proxy CONNECT {HOST}:443 as us:p@ss", AT, https_proxy="http://us:p@ss@127.0.0.1:{port}")

LOWER = "host names are converted to lower case"
WRITTEN = "API.CouchDrop.test"
row(WRITTEN, f"https_proxy CONNECT {WRITTEN}:443", f"https_proxy CONNECT {HOST}:443", LOWER, https_proxy=HTTP)

NETWORKS = "curl's manual promises networks of IPv6, but curl compares them as names"
for exception in ("2001:db8::/32", "2001:db8::6/127", "2001:db8::7/128", "2001:db8:0::7", "x, 2001:DB8::/64"):
    row(V6, f"https_proxy CONNECT {V6}:443", DIRECT, NETWORKS, https_proxy=HTTP, no_proxy=exception)


def by_curl(url, variables, proxies):
    command = ["curl", "-q", "-sS", "-o", "/dev/null", "--connect-timeout", "3", "--max-time", "10", "-d", ""]
    done = subprocess.run(
        [*command, f"{url}/authenticate"],
        env=probe.clean_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    seen = proxies.seen()
    if seen:
        return ", ".join(seen)
    host = urllib.parse.urlsplit(url).hostname
    if ":" in host:
        host = str(ipaddress.ip_address(host))
    what = done.stderr.strip()
    unreached = re.search(r"Failed to connect to (\S+) port (\d+)", what)
    unresolved = re.search(r"Could not resolve (?:host|proxy): (\S+)", what)
    # Only a connection to a host outside this machine can time out.
    if done.returncode == 28 or host in [found[1].lower() for found in (unreached, unresolved) if found]:
        return DIRECT
    if unreached:
        return f"no server at {unreached[1]}:{unreached[2]}"
    if unresolved:
        return f"no host {unresolved[1]}"
    return REFUSED if "Unsupported proxy" in what else f"curl: {done.returncode}: {what}"


def by_library(result, proxies):
    seen = proxies.seen()
    if seen:
        return ", ".join(seen)
    unreached = re.match(r"No connection to the proxy (\S+): ", result.message)
    unresolved = re.match(r"The host name (\S+) of the proxy could not be resolved", result.message)
    if unreached:
        return f"no server at {re.sub('[][]', '', unreached[1])}"
    if unresolved:
        return f"no host {unresolved[1]}"
    if result.code == "CD_ERR_PROXY" and "can't be used" in result.message:
        return REFUSED
    return DIRECT if result.code in ("CD_ERR_DNS", "CD_ERR_CONNECT", "CD_ERR_TIMEOUT") else str(result)


class ProxyTable(world.Test):
    def results(self, row):
        with recorder.Recorder() as proxies:
            variables = {name: value.format(port=proxies.ports.get(name, 0)) for name, value in row.variables.items()}
            curl = by_curl(row.url, variables, proxies)
            result = self.world.login(variables, base_url=row.url, connect_timeout_ms=3000)
            return curl, by_library(result, proxies), result.message

    def test_proxy_is_that_of_curl(self):
        # Otherwise a server of this machine may listen at port 1080.
        rows = [row for row in ROWS if self.world.is_isolated or not row.curl.startswith("no server")]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for row, (curl, library, message) in zip(rows, pool.map(self.results, rows)):
                with self.subTest(row=row):
                    self.assertEqual((curl, library), (row.curl, row.library))
                    self.assertNotIn("secret", message)
