"""The web page: what it answers, what it keeps, and its main path in a browser."""

import shutil
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mmrsir.apis import Predictor, page
from mmrsir.datasets.loading.reading import Reading

from .helpers.forks import ROOT, environment, free_port

CONFIG = 'configs/mask_rcnn/rsir_n_shapes.py'
CHROMIUM = shutil.which('chromium')
# Chromium reports to its makers otherwise.
CHROMIUM_FLAGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
]
MIDDLE = (0.5, 0.5)


@pytest.fixture(scope='module')
def pixels():
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def predictor():
    torch.manual_seed(0)
    return Predictor(CONFIG, device='cpu')


@pytest.fixture(scope='module')
def viewer(predictor):
    return page.Viewer(predictor)


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (b'', 'This file is broken, or its format is unknown'),
        (b'no picture', 'This file is broken, or its format is unknown'),
        ('cut', 'This file is broken, or its format is unknown'),
        ('float', 'values of black and white'),
        ('12 bits', 'nearly black'),
    ],
)
def test_what_cannot_be_read_gets_a_plain_message(pixels, tmp_path, data, message):
    path = tmp_path / 'a.jpg'
    if data == 'float':
        Image.fromarray(pixels[..., 0].astype(np.float32) * 9).save(path, 'TIFF')
    elif data == '12 bits':
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 16).save(path, 'PNG')
    elif data == 'cut':
        Image.fromarray(pixels).save(path)
        path.write_bytes(path.read_bytes()[:-200])
    else:
        path.write_bytes(data)
    with pytest.raises(page.UnusablePictureError, match=message):
        page.read_upload(path, Reading())


def test_pictures_of_too_many_pixels_are_not_decoded(tmp_path):
    Image.new('1', (20_000, 10_000)).save(tmp_path / 'a.png')
    with pytest.raises(page.UnusablePictureError, match='has 200 megapixels; allowed: 100'):
        page.read_upload(tmp_path / 'a.png', SimpleNamespace())


def test_boxes_are_in_pixels_of_the_file():
    found = [dict(label='star', score=0.5, box=[1.0, 2.0, 3.5, 4.0])]
    assert page.to_table(found, scale=2) == [
        ['label', 'score', 'box'],
        ['star', 0.5, '2, 4, 7, 8'],
    ]
    assert page.to_table([]) == [['nothing found']]


@pytest.mark.parametrize(
    ('folder', 'columns'),
    [('cls', ['label', 'score']), ('mask_rcnn', None), ('upernet', ['label', 'share'])],
)
def test_the_search_shows_the_picture_and_what_was_found(folder, columns, pixels):
    torch.manual_seed(0)
    predictor = Predictor(f'configs/{folder}/rsir_n_shapes.py', device='cpu')
    viewer = page.Viewer(predictor)
    # No detector is as sure as that of any object.
    drawn, (headings, *rows) = viewer.search(page.Picture(pixels, 1), score_thr=1.0)
    assert drawn.shape[1] >= 120
    assert headings == (columns or ['nothing found'])
    if folder == 'cls':
        assert len(rows) == 4


def test_each_point_and_each_block_has_its_windows(viewer, pixels):
    looks = {
        viewer.look(page.Picture(pixels, 1), point, block)[1][0].tobytes()
        for point in [(0.0, 0.0), (1.0, 1.0)]
        for block in (1, viewer.num_blocks)
    }
    assert len(looks) == 4


def test_the_point_is_marked(pixels):
    changed = (page.mark(pixels, (0.25, 0.5)) != pixels).any(2)
    rows, columns = np.nonzero(changed)
    assert (rows.mean().round(), columns.mean().round()) == (45, 30)


def test_large_pictures_are_traced_in_small(viewer, monkeypatch):
    shapes = []
    trace = viewer._backbone.trace
    monkeypatch.setattr(
        viewer._backbone, 'trace', lambda x, point: shapes.append(x.shape) or trace(x, point)
    )
    viewer.look(page.Picture(np.zeros((500, 2000, 3), np.uint8), 1), MIDDLE, 1)
    assert shapes == [(1, 3, 112, 448)]


def test_backbones_of_others_are_refused():
    model = SimpleNamespace(backbone=torch.nn.Identity())
    with pytest.raises(TypeError, match='type=Identity cannot be traced'):
        page.Viewer(SimpleNamespace(model=model))


def test_views_of_which_a_block_has_nothing_are_left_out(viewer, pixels):
    random, important = (viewer.look(page.Picture(pixels, 1), MIDDLE, n)[1] for n in (1, 2))
    assert [view is None for view in random] == [False, False, False, True]
    assert not any(view is None for view in important)


def start(predictor, folder):
    """Start a server; return its process and its port."""
    torch.save({'state_dict': predictor.model.state_dict()}, folder / 'weights.pth')
    temporary = folder / 'tmp'
    temporary.mkdir()
    port = int(free_port())
    flags = ['--port', str(port), '--score-thr', '0.01']
    process = subprocess.Popen(
        [sys.executable, 'demo/app.py', CONFIG, folder / 'weights.pth', *flags],
        cwd=ROOT,
        env={**environment(), 'TMPDIR': str(temporary)},
        stdout=(folder / 'log').open('w'),
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(('127.0.0.1', port), timeout=1).close()
            return process, port
        except OSError:
            time.sleep(0.2)
    process.kill()
    pytest.fail((folder / 'log').read_text()[-3000:])


@pytest.fixture(scope='module')
def server(predictor, tmp_path_factory):
    """A running page: its port and the folder for its temporary files; nothing is left of them."""
    pytest.importorskip('gradio', reason='the page needs requirements/app.txt')
    folder = tmp_path_factory.mktemp('app')
    process, port = start(predictor, folder)
    yield port, folder / 'tmp'
    process.terminate()
    process.wait(timeout=30)
    assert [path for path in (folder / 'tmp').rglob('*') if path.is_file()] == []


def request(port, method, path, body=None, **headers):
    """Return the status and the headers of an answer."""
    connection = HTTPConnection('127.0.0.1', port, timeout=30)
    headers = {name.replace('_', '-'): value for name, value in headers.items()}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.headers


def test_the_page_may_load_nothing_from_elsewhere(server):
    status, headers = request(server[0], 'GET', '/')
    assert status == 200
    assert headers['Content-Security-Policy'].startswith("default-src 'self';")


def test_other_names_of_the_machine_are_refused(server):
    assert request(server[0], 'GET', '/', Host='attacker.example')[0] == 400


def test_files_of_the_machine_are_not_served(server):
    readme = ROOT / 'README.md'
    assert request(server[0], 'GET', f'/gradio_api/file={readme}')[0] == 403


def test_large_requests_are_refused(server):
    status, _ = request(server[0], 'POST', '/gradio_api/queue/join', bytes(110 * 2**20))
    assert status == 413


@pytest.fixture(scope='module')
def browser():
    api = pytest.importorskip('playwright.sync_api', reason='needs the package playwright')
    if CHROMIUM is None:
        pytest.skip('needs Chromium (apt-get install chromium)')
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(server, browser):
    """The page in a browser of its own, all of whose requests stay on this machine."""
    context = browser.new_context(viewport=dict(width=375, height=700))
    tab = context.new_page()
    tab.set_default_timeout(120_000)
    requested, errors = [], []
    tab.on('request', lambda request: requested.append(request.url))
    tab.on('pageerror', lambda error: errors.append(str(error)))
    tab.goto(f'http://127.0.0.1:{server[0]}')
    tab.locator('#upload input').wait_for(state='attached')
    yield tab
    context.close()
    here = ('data:', 'blob:', f'http://127.0.0.1:{server[0]}/')
    assert [one for one in requested if not one.startswith(here)] == []
    assert errors == []


def images(tab, name, other_than=''):
    """Return the URL of a picture as soon as it is another."""
    tab.wait_for_function(
        '([name, old]) => (document.querySelector(`#${name} img`)?.src ?? old) !== old',
        arg=[name, other_than],
    )
    return tab.locator(f'#{name} img').get_attribute('src')


def test_the_page_finds_marks_and_traces(server, tab, pixels, tmp_path):
    tab.get_by_text('rsir_n_shapes, weights.pth').wait_for()
    assert tab.get_by_role('slider').count() == 0  # there is no picture to show a block of
    Image.fromarray(pixels).save(tmp_path / 'picture.tif')
    tab.locator('#upload input').set_input_files(tmp_path / 'picture.tif')
    marked, window, drawn = (images(tab, name) for name in ('picture', 'window', 'drawn'))
    rows = tab.locator('#found tbody tr')
    assert rows.count() >= 1
    # A phone has no need to scroll sideways.
    assert tab.evaluate('document.documentElement.scrollWidth') == 375

    box = tab.locator('#picture img').bounding_box()
    tab.locator('#picture img').click(position=dict(x=box['width'] * 0.9, y=box['height'] * 0.1))
    marked, window = images(tab, 'picture', marked), images(tab, 'window', window)

    tab.locator('#block').get_by_role('slider').press('ArrowRight')
    images(tab, 'window', window)
    tab.get_by_text('IR-Win').first.wait_for()

    tab.locator('#threshold').get_by_role('slider').press('End')
    images(tab, 'drawn', drawn)
    tab.get_by_text('nothing found').wait_for()
    assert server[1].exists() and any(server[1].iterdir())  # what is kept for an hour


def test_a_bad_file_gives_a_message(tab, tmp_path):
    (tmp_path / 'bad.png').write_bytes(bytes(100))
    tab.locator('#upload input').set_input_files(tmp_path / 'bad.png')
    tab.get_by_text('This file is broken, or its format is unknown').wait_for()
    assert tab.locator('#drawn img').count() == 0
