"""Small files that many workers change and none over another: create if absent, read, replace if unchanged.

What makes looking and changing one step is the storage's business, what the files say is the callers'.
"""

from finops_pipeline.storage import Storage, Versioned

_SUFFIX = ".json"


class VersionedFiles:
    """The JSON files directly below one folder of a lake, which the first one makes; named without ``.json``.

    What cannot be read or written raises LakeError, and nothing half-written is left.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage, self._folder = storage, folder

    def names(self) -> list[str]:
        """Names of all files, sorted."""
        names = (file.name.removeprefix(f"{self._folder}/") for file in self._storage.files(f"{self._folder}/"))
        return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX) and "/" not in name)

    def all(self) -> dict[str, Versioned]:
        """Every file as it is now, by name, sorted; side by side where that is faster than one by one."""
        names = self.names()
        found = zip(names, self._storage.each(self.read, names), strict=True)
        return {name: file for name, file in found if file is not None}

    def read(self, name: str) -> Versioned | None:
        """The file as it is now; None where there is none."""
        return self._storage.read(self._file(name))

    def create(self, name: str, content: bytes) -> str | None:
        """Make the file; its version, or None where it exists already."""
        return self._storage.create(self._file(name), content)

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """Put ``content`` in place of what the file said in ``version``; the new version, or None where it changed."""
        return self._storage.replace(self._file(name), content, version)

    def _file(self, name: str) -> str:
        return f"{self._folder}/{name}{_SUFFIX}"
