"""The project's secret, from which keys are derived: for the evidence ledger, later for MinHash seeds and canaries."""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from dataguard.atomic import sync_folder, write_atomic
from dataguard.errors import UsageError


@dataclass(frozen=True)
class Secret:
    """32 random bytes of a project, from which keys are derived (HKDF, RFC 5869); never recorded itself."""

    material: bytes = field(repr=False)

    @classmethod
    def load(cls, path: Path | None = None) -> Secret:
        """Reads the secret, making it once, with mode 0600, where it does not exist.

        Args:
            path: where it lies; by default in the user's data folder.

        Raises:
            UsageError: the file is not a secret of ours.
        """
        if path is None:
            home = os.environ.get("XDG_DATA_HOME")
            path = (Path(home) if home else Path.home() / ".local" / "share") / "dataguard" / "secret"
        try:
            if not path.exists():
                _make(path)
            with path.open("rb") as file:
                text = file.read(66).strip()
        except OSError as error:
            raise UsageError(
                f"the secret file {path} cannot be read: {error.strerror}", "name another"
            ) from error
        try:
            material = bytes.fromhex(text.decode("ascii"))
        except ValueError:
            material = b""
        if len(material) != 32:
            raise UsageError(
                f"expected 64 hexadecimal digits in the secret file {path}", "name another with --secret-file"
            )
        return cls(material)

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose."""
        extracted = hmac.digest(b"dataguard/v1", self.material, "sha256")
        return hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")

    @property
    def key_id(self) -> str:
        """What is recorded instead of the secret."""
        return self.derive("key id").hex()[:16]


def _make(path: Path) -> None:
    """Makes a secret; of two that do so at once, both end up with the same."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = write_atomic(
        path.with_name(f".{path.name}.{os.getpid()}"), secrets.token_bytes(32).hex().encode() + b"\n"
    )
    try:
        path.hardlink_to(own)
    except FileExistsError:
        pass
    finally:
        own.unlink()
    sync_folder(path.parent)
