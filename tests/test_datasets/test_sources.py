"""An archive becomes a folder, whole or not at all, and nothing of it lies elsewhere."""

import io
import stat
import tarfile
import zipfile

import pytest

from mmrsir.datasets.converters.sources import kept_folder, unpacked
from mmrsir.utils.errors import UserError

from ..helpers.image_trees import files, image

CONTENT = {f'tree/{name}.jpg': image((640, 480)) for name in ('a', 'b', 'deep/c')}
KINDS = ['tar', 'tar.gz', 'zip']


def pack(path, content=CONTENT, link=None):
    """Write an archive, of the kind that its suffix says."""
    if path.suffix == '.zip':
        with zipfile.ZipFile(path, 'w') as file:
            for name, data in content.items():
                file.writestr(name, data)
            if link:
                entry = zipfile.ZipInfo(link)
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
                file.writestr(entry, '/etc/hostname')
        return path
    with tarfile.open(path, 'w:gz' if path.suffix == '.gz' else 'w') as file:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
        if link:
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, '/etc/hostname'
            file.addfile(entry)
    return path


@pytest.fixture
def keep(tmp_path):
    def keep(archive):
        return kept_folder(archive, tmp_path / 'out/images', 'Needed is …')

    return keep


def refused(keep, tmp_path, archive, said):
    """An archive that cannot be extracted leaves nothing."""
    with pytest.raises(UserError, match=said):
        keep(archive)
    assert not files(tmp_path / 'out')


@pytest.mark.parametrize('kind', KINDS)
def test_archive_of_any_kind_gives_its_files(kind, keep, tmp_path):
    folder = keep(pack(tmp_path / f'any.{kind}').rename(tmp_path / 'any.name'))
    assert {name: (folder / name).read_bytes() for name in files(folder)} == CONTENT
    assert files(tmp_path) == {'any.name', *(f'out/images/{name}' for name in CONTENT)}


def test_archive_can_be_extracted_for_a_while(tmp_path):
    archive = pack(tmp_path / 'any.zip')
    with unpacked(archive, tmp_path / 'out', 'Needed is …') as folder:
        assert files(folder) == CONTENT.keys()
    assert not files(tmp_path / 'out')


@pytest.mark.parametrize('kind', ['tar', 'tar.gz'])
def test_cut_archive_leaves_nothing(kind, keep, tmp_path):
    archive = pack(tmp_path / f'cut.{kind}')
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    refused(keep, tmp_path, archive, r'cut\.tar.* cannot be extracted')


def test_damaged_zip_leaves_nothing(keep, tmp_path):
    archive = pack(tmp_path / 'any.zip')
    data = CONTENT['tree/b.jpg']
    archive.write_bytes(archive.read_bytes().replace(data, data[::-1], 1))
    refused(keep, tmp_path, archive, 'cannot be extracted: Bad CRC-32')


def test_encrypted_zip_leaves_nothing(keep, tmp_path):
    archive = pack(tmp_path / 'any.zip')
    content = bytearray(archive.read_bytes())
    entry = content.index(b'PK\x01\x02')  # the first entry of the directory, at whose
    content[entry + 8] |= 1  # byte 8 the flag of encryption stands; also in the file's own head
    content[6] |= 1
    archive.write_bytes(content)
    refused(keep, tmp_path, archive, 'cannot be extracted: .* encrypted')


def test_tar_that_reaches_out_of_its_folder_leaves_nothing(keep, tmp_path):
    archive = pack(tmp_path / 'evil.tar', {**CONTENT, '../../../evil.jpg': b'evil'})
    refused(keep, tmp_path, archive, r'evil\.tar cannot be extracted')
    assert files(tmp_path) == {'evil.tar'}


def test_zip_cannot_write_outside_its_folder(keep, tmp_path):
    keep(pack(tmp_path / 'evil.zip', {**CONTENT, '../../../evil.jpg': b'evil'}))
    assert not list(tmp_path.glob('*.jpg')) + list(tmp_path.parent.glob('*.jpg'))


@pytest.mark.parametrize('kind', ['tar', 'zip'])
def test_links_are_not_extracted(kind, keep, tmp_path):
    folder = keep(pack(tmp_path / f'linked.{kind}', link='tree/link.jpg'))
    assert files(folder) == CONTENT.keys()
