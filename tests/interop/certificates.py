"""Certificate chains, made with OpenSSL: a root, an intermediate, and a server's certificate."""

import collections
import os
import subprocess

# The names in the servers' certificates. world.py gives these names addresses.
NAMES = ("localhost", "*.peers.test")
ADDRESSES = ("127.0.0.1", "::1", "198.51.100.2", "198.51.100.3")

KEYS = {
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ecdsa": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
}

_CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
_SERVER = (
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
    "authorityKeyIdentifier=keyid\nsubjectAltName="
    + ",".join([f"DNS:{name}" for name in NAMES] + [f"IP:{address}" for address in ADDRESSES])
    + "\n"
)

# Paths: the root; the server's certificate with the intermediate, and without it; the server's key.
Chain = collections.namedtuple("Chain", "root full leaf key")


def _openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr}")


def make_chain(folder, name, kind):
    """Makes a chain with keys of this kind; `name` distinguishes it from others, also in its subjects."""

    def path(what):
        return os.path.join(folder, f"{name}-{what}")

    def issue(what, extensions, issuer):
        _openssl("genpkey", *KEYS[kind], "-out", path(f"{what}.key"))
        _openssl("req", "-new", "-key", path(f"{what}.key"), "-subj", f"/CN={name} {what}", "-out", path(f"{what}.csr"))
        with open(path(f"{what}.ext"), "w", encoding="utf-8") as file:
            file.write(extensions)
        signed_by = ["-signkey", path(f"{what}.key")]
        if issuer:
            signed_by = ["-CA", path(f"{issuer}.pem"), "-CAkey", path(f"{issuer}.key"), "-CAcreateserial"]
        _openssl(
            *["x509", "-req", "-in", path(f"{what}.csr"), "-days", "2", "-extfile", path(f"{what}.ext")],
            *[*signed_by, "-out", path(f"{what}.pem")],
        )

    issue("root", _CA, None)
    issue("intermediate", _CA, "root")
    issue("server", _SERVER, "intermediate")
    with open(path("full.pem"), "w", encoding="utf-8") as full:
        for part in ("server", "intermediate"):
            with open(path(f"{part}.pem"), encoding="utf-8") as file:
                full.write(file.read())
    return Chain(path("root.pem"), path("full.pem"), path("server.pem"), path("server.key"))


def hashed_folder(folder, *roots):
    """Makes a folder with certificates named by their hash, as OpenSSL looks them up."""
    os.mkdir(folder)
    for number, root in enumerate(roots):
        with open(root, encoding="utf-8") as source:
            with open(os.path.join(folder, f"root-{number}.pem"), "w", encoding="utf-8") as copy:
                copy.write(source.read())
    _openssl("rehash", folder)
    return folder
