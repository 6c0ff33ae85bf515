"""The default storage: files on disk, which survive a power cut as the rows that name them do."""

import os

from django.core.files.storage import FileSystemStorage


class DurableStorage(FileSystemStorage):
    def _save(self, name, content):
        """A row is committed after its file is saved: by then the file and its name must be on the disk."""
        try:
            name = super()._save(name, content)
        except OSError:  # no room, as a rule: half a file is of no use to anybody
            self.delete(name)
            raise
        for path in (self.path(name), os.path.dirname(self.path(name))):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return name
