"""Authorities and certificates for tests, made anew for each run."""

from pathlib import Path

import trustme

from ims_core.transport.tls import Tls, TlsSettings


class Authority:
    """A certificate authority that keeps what it signs in a directory."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._ca = trustme.CA()
        self.file = directory / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))
        self._count = 0

    def issue(self, *names: str, common_name: str | None = None) -> Path:
        """Return the file of a certificate for these names, its key in it."""
        self._count += 1
        file = self._directory / f"{self.file.stem}-{self._count}.pem"
        issued = self._ca.issue_cert(*names, common_name=common_name, key_type=trustme.KeyType.ECDSA)
        issued.private_key_and_cert_chain_pem.write_to_path(str(file))
        return file

    def tls(self, *names: str, **settings: object) -> Tls:
        """Return the TLS of who has a certificate for these names and trusts this authority."""
        return Tls(TlsSettings(str(self.issue(*names)), "", ca=str(self.file))._replace(**settings))  # type: ignore[arg-type]
