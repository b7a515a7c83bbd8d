"""The CAs that a login trusts if no CA file is set: the environment's certificates, the system's, or the built-in ones.
"""

import os
import socket
import subprocess

import certificates
import recorder
import world

DEBIAN = "/etc/ssl/certs/ca-certificates.crt"
# Other places of system stores, in order of preference.
ELSEWHERE = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/usr/local/etc/ssl/cert.pem",
    "/etc/openssl/certs/ca-certificates.crt",
)

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")


def with_system_stores(*stores):
    """A command prefix: a mount namespace in which these (path, file) are the only trust stores of the system."""
    script = """
        for folder in /etc /usr/local/share /usr/local/etc; do
            [ ! -d $folder ] || mount -t tmpfs -o mode=755 tmpfs $folder
        done
        while [ "$1" != -- ]; do
            mkdir -p "$(dirname "$1")"
            ln -s "$2" "$1"
            shift 2
        done
        shift
        exec "$@"
    """
    mounts = [part for store in stores for part in store]
    return ["unshare", "--mount", "sh", "-euc", script, "sh", *mounts, "--"]


def write(path, source):
    """Copies the content of another file into a file, like an administrator who replaces it."""
    with open(source, encoding="utf-8") as file:
        content = file.read()
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(content)
    os.rename(f"{path}.new", path)


class Environment(world.Test):
    """`SSL_CERT_FILE` and `SSL_CERT_DIR`."""

    def login(self, server=None, **variables):
        return self.world.login(variables, base_url=(server or self.world.close_each).url())

    def folder(self, *roots):
        return certificates.hashed_folder(self.world.unique("hashed"), *roots)

    def test_directory_with_hash_names_is_trusted(self):
        folder = self.folder(self.world.rsa.root, self.world.ecdsa.root)
        self.assert_login(self.login(SSL_CERT_DIR=folder))
        self.assert_login(self.login(self.world.rsa_tls13, SSL_CERT_DIR=folder))
        self.assert_fails(self.login(self.world.of_stranger, SSL_CERT_DIR=folder), "CD_ERR_TLS", "unknown issuer")

    def assert_unusable(self, *parts, **variables):
        """The message names the variable, and no connection was made."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            with self.world.probe(variables, base_url=url, max_retries=4) as library:
                for ends in (library.login, library.connect):
                    self.assert_fails(ends(), "CD_ERR_TLS", *parts, attempts=0)
            with self.assertRaises(BlockingIOError):
                listener.accept()

    def test_invalid_file_is_an_error_and_sends_nothing(self):
        missing = self.world.unique("missing")
        for path, why in (
            (missing, "does not exist"),
            (self.world.file("empty", ""), "is empty"),
            (self.world.file("text", "trust me\n"), "no PEM certificate"),
            (self.world.work, "not a regular file"),
            (self.world.file("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "parsed"),
            ("/dev/zero", "not a regular file"),
        ):
            self.assert_unusable("SSL_CERT_FILE", path, why, SSL_CERT_FILE=path)
        # A good folder as well does not help.
        folder = self.folder(self.world.ecdsa.root)
        self.assert_unusable("SSL_CERT_FILE", missing, SSL_CERT_FILE=missing, SSL_CERT_DIR=folder)

    def test_changed_file_is_read_again(self):
        path = self.world.unique("changing")
        write(path, self.world.ecdsa.root)
        with self.world.probe({"SSL_CERT_FILE": path}, base_url=self.world.close_each.url()) as library:
            self.assert_login(library.login())
            # An earlier session does not bypass the change.
            write(path, self.world.rsa.root)
            self.assert_fails(library.login(), "CD_ERR_TLS", "unknown issuer", attempts=0)
            write(path, self.world.ecdsa.root)
            self.assert_login(library.login())

    def test_server_certificate_in_the_file_is_trusted(self):
        self.assert_login(self.login(SSL_CERT_FILE=self.world.ecdsa.leaf))
        result = self.login(self.world.of_stranger, SSL_CERT_FILE=self.world.ecdsa.leaf)
        self.assert_fails(result, "CD_ERR_TLS", "unknown issuer", attempts=0)

    def test_file_is_accepted_exactly_as_by_curl(self):
        def read(path):
            with open(path, encoding="utf-8") as file:
                return file.read()

        root, other = read(self.world.ecdsa.root), read(self.world.stranger.root)
        url = self.world.close_each.url()
        for name, content in {
            "plain": root,
            "byte order mark": "\ufeff" + root,
            "X509": root.replace(" CERTIFICATE-", " X509 CERTIFICATE-"),
            "CRLF": (other + root).replace("\n", "\r\n"),
            "text": f"ours:\n{root}theirs:\n{other}end\n",
            "key": read(self.world.ecdsa.key) + root,
            "comment": root + "".join(f"# {line}\n" for line in other.splitlines()),
            "glued": other.rstrip("\n") + root,
            "cut": root + other[: len(other) // 2],
            "bad base64": root + other.replace("MII", "!!!"),
            "another end": root + other.replace("END CERTIFICATE", "END X509 CERTIFICATE"),
        }.items():
            path = self.world.file("table", content)
            curl = subprocess.run(["curl", "-sS", "--cacert", path, url], capture_output=True, check=False)
            self.assertIn(curl.returncode, (0, 77), f"{name}: {curl.stderr}")
            with self.world.probe(base_url=url) as library:
                result = library.set("ca_file", path)
                self.assertEqual(result.code, "CD_OK" if curl.returncode == 0 else "CD_ERR_CA_FILE", name)
                if curl.returncode == 0:
                    self.assert_login(library.login())

    def test_certificate_added_to_a_directory_is_found(self):
        folder = self.folder(self.world.rsa.root)
        with self.world.probe({"SSL_CERT_DIR": folder}, base_url=self.world.close_each.url()) as library:
            self.assert_fails(library.login(), "CD_ERR_TLS", "unknown issuer", attempts=0)
            write(os.path.join(folder, "added.pem"), self.world.ecdsa.root)
            world.run("openssl", "rehash", folder)
            self.assert_login(library.login())

    def test_certificate_replaced_in_place_is_not_trusted(self):
        folder = self.folder(self.world.ecdsa.root)
        with self.world.probe({"SSL_CERT_DIR": folder}, base_url=self.world.close_each.url()) as library:
            self.assert_login(library.login())
            with open(self.world.rsa.root, encoding="utf-8") as root:
                other = root.read()
            with open(os.path.join(folder, "root-0.pem"), "w", encoding="utf-8") as file:
                file.write(other)
            self.assert_fails(library.login(), "CD_ERR_TLS", "unknown issuer", attempts=0)

    def test_store_is_read_once(self):
        variables = {"SSL_CERT_FILE": self.world.ecdsa.root}
        with self.world.probe(variables, base_url=self.world.close_each.url()) as library:
            for _ in range(3):
                self.assert_login(library.login())
            self.assertEqual(sum("root certificates" in message for _, message in library.log), 1)


class System(world.Test):
    """The system's own stores, in mount namespaces made for the test."""

    def setUp(self):
        self.need_isolation()

    def login(self, *stores, server=None, user=()):
        command = [*with_system_stores(*stores), *user]
        with self.world.probe(command=command, base_url=(server or self.world.close_each).url()) as library:
            return library.login(), library.log

    def test_system_bundle_is_trusted(self):
        result, _ = self.login((DEBIAN, self.world.ecdsa.root))
        self.assert_login(result)
        result, _ = self.login((DEBIAN, self.world.ecdsa.root), server=self.world.of_stranger)
        self.assert_fails(result, "CD_ERR_TLS", "unknown issuer", attempts=0)

    def test_bundle_is_found_at_other_systems_paths(self):
        for path in ELSEWHERE:
            result, _ = self.login((path, self.world.ecdsa.root))
            self.assert_login(result)

    def test_server_certificate_in_the_bundle_is_trusted(self):
        result, _ = self.login((DEBIAN, self.world.ecdsa.leaf))
        self.assert_login(result)

    def test_invalid_bundle_has_no_fallback(self):
        for path, why in (
            (self.world.file("empty", ""), "is empty"),
            (self.world.file("text", "trust me\n"), "no PEM certificate"),
            (self.world.work, "not a regular file"),
        ):
            result, log = self.login((DEBIAN, path), (ELSEWHERE[0], self.world.ecdsa.root))
            self.assert_fails(result, "CD_ERR_TLS", "The system's trust store", DEBIAN, why, attempts=0)
            self.assertFalse([message for _, message in log if "built-in" in message])

    def test_unreadable_bundle_has_no_fallback(self):
        self.need_root()
        folder = self.world.unique("closed")
        os.mkdir(folder, 0o700)
        inaccessible = os.path.join(folder, "bundle.pem")
        unreadable = self.world.file("unreadable", "")
        for path in (inaccessible, unreadable):
            write(path, self.world.ecdsa.root)
            os.chmod(path, 0o600)
            result, log = self.login((DEBIAN, path), (ELSEWHERE[0], self.world.ecdsa.root), user=AS_NOBODY)
            self.assert_fails(result, "CD_ERR_TLS", "The system's trust store", DEBIAN, "Permission denied", attempts=0)
            self.assertFalse([message for _, message in log if "built-in" in message])

    def test_without_a_store_built_in_roots_are_used_and_logged(self):
        result, log = self.login()
        self.assert_fails(result, "CD_ERR_TLS", "unknown issuer", attempts=0)
        self.assertEqual(len([message for level, message in log if level == 2 and "no trust store" in message]), 1)


class SetUserId(world.Test):
    """A program with more privileges than its caller ignores the caller's environment."""

    def setUp(self):
        self.need_root()
        # A file system that honours set-user-ID; that of the other files may not.
        folder = self.world.unique("set-user-id")
        os.mkdir(folder)
        world.run("mount", "-t", "tmpfs", "-o", "suid,exec,mode=755", "tmpfs", folder)
        self.privileged = os.path.join(folder, "probe")
        world.run("install", "-m", "4755", self.world.program, self.privileged)
        with self.probe(self.privileged) as library:
            self.need(library.is_privileged(), "set-user-id programs get no rights here")

    def probe(self, program, variables=None, command=(), **settings):
        return self.world.probe(variables, [*command, *AS_NOBODY], program, **settings)

    def test_callers_certificates_are_not_trusted(self):
        command = with_system_stores((DEBIAN, self.world.stranger.root))
        for variables in (
            {"SSL_CERT_FILE": self.world.ecdsa.root},
            {"SSL_CERT_DIR": certificates.hashed_folder(self.world.unique("hashed"), self.world.ecdsa.root)},
        ):
            for program, server in (
                (self.world.program, self.world.service),
                (self.privileged, self.world.of_stranger),
            ):
                with self.probe(program, variables, command, base_url=server.url()) as library:
                    self.assertEqual(library.is_privileged(), program == self.privileged)
                    self.assert_login(library.login())
            with self.probe(self.privileged, variables, command, base_url=self.world.service.url()) as library:
                self.assert_fails(library.login(), "CD_ERR_TLS", "unknown issuer", attempts=0)

    def test_callers_invalid_variables_are_ignored(self):
        command = with_system_stores((DEBIAN, self.world.ecdsa.root))
        variables = {"SSL_CERT_FILE": self.world.unique("missing")}
        with self.probe(self.world.program, variables, command, base_url=self.world.service.url()) as library:
            self.assert_fails(library.login(), "CD_ERR_TLS", "SSL_CERT_FILE")
        with self.probe(self.privileged, variables, command, base_url=self.world.service.url()) as library:
            self.assert_login(library.login())

    def test_callers_proxy_is_not_used(self):
        settings = {"base_url": self.world.service.url("login.peers.test"), "ca_file": self.world.ecdsa.root}
        with recorder.Recorder() as proxies:
            variables = {name: f"http://127.0.0.1:{port}" for name, port in proxies.ports.items()}
            with self.probe(self.world.program, variables, **settings) as library:
                self.assert_fails(library.login(), "CD_ERR_PROXY", status=502)
            self.assertEqual(len(proxies.seen()), 1)
            with self.probe(self.privileged, variables, **settings) as library:
                self.assert_login(library.login())
            self.assertEqual(proxies.seen(), [])
