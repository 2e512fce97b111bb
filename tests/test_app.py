"""The web page: what it answers, what it keeps, and all of it in a browser."""

import base64
import shutil
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mmrsir.apis import Predictor, page
from mmrsir.visualization.blocks import place, render_block

from .helpers.forks import ROOT, environment, free_port

CONFIG = 'configs/upernet/rsir_n_shapes.py'
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


def content(picture, kind='PNG', **options):
    """The file of a picture."""
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def url(data):
    return f'data:;base64,{base64.b64encode(data).decode()}'


@pytest.fixture(scope='module')
def picture():
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope='module')
def predictor():
    torch.manual_seed(0)
    return Predictor(CONFIG, device='cpu')


@pytest.fixture(scope='module')
def viewer(predictor):
    return page.Viewer(predictor)


def test_a_picture_comes_back_as_it_was(picture):
    pixels = np.asarray(picture)
    assert np.array_equal(np.asarray(page.read_url(page.to_url(pixels))), pixels)


def test_pictures_are_read_upright(picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    assert page.read_url(url(content(picture, 'JPEG', exif=exif))).size == (90, 120)


@pytest.mark.parametrize(
    'data',
    [b'', b'no picture', pytest.param(None, id='cut off'), pytest.param('GIF', id='GIF')],
)
def test_what_cannot_be_read_gets_a_plain_message(picture, data):
    if data is None:
        data = content(picture, 'JPEG')[:-200]
    elif data == 'GIF':
        data = content(picture, 'GIF')
    with pytest.raises(page.UnusablePictureError, match='This file is broken, or not a picture'):
        page.read_url(url(data))


@pytest.mark.parametrize('size', [(8000, 7000), (20000, 10000)])
def test_pictures_of_too_many_pixels_are_not_decoded(size, monkeypatch):
    monkeypatch.setattr(page, 'Reading', None)
    with pytest.raises(page.UnusablePictureError, match='more than 50 megapixels'):
        page.read_url(url(content(Image.new('1', size))))


def test_a_file_that_the_browser_held_back_is_too_large():
    with pytest.raises(page.UnusablePictureError, match='more than 20 megabytes'):
        page.read_url('')


def test_what_was_found_is_a_table():
    table = page.to_table([dict(label='circle', score=0.9), dict(label='star', score=0.5)])
    assert table.splitlines() == [
        '| label | score |',
        '| --- | --- |',
        '| circle | 0.9 |',
        '| star | 0.5 |',
    ]
    assert page.to_table([]) == 'Nothing was found.'


@pytest.mark.parametrize(
    ('folder', 'columns'),
    [('cls', '| label | score |'), ('mask_rcnn', None), ('upernet', '| label | share |')],
)
def test_the_search_shows_the_picture_and_what_was_found(folder, columns, picture):
    torch.manual_seed(0)
    predictor = Predictor(f'configs/{folder}/rsir_n_shapes.py', device='cpu', score_thr=1.0)
    drawn, found = page.Viewer(predictor).search(picture)
    assert page.read_url(drawn).width >= 120
    # No detector is as sure as that of any object.
    assert found.startswith(columns or 'Nothing was found.')
    if folder == 'cls':
        assert found.count('\n| ') == 5  # a line and four classes


def test_each_point_and_each_block_has_its_windows(viewer, picture):
    looks = {
        viewer.look(picture, point, block)
        for point in [(0.0, 0.0), (1.0, 1.0)]
        for block in (1, viewer.num_blocks)
    }
    assert len(looks) == 4


def test_large_pictures_are_traced_in_small(viewer, monkeypatch):
    shapes = []
    trace = viewer._backbone.trace
    monkeypatch.setattr(
        viewer._backbone, 'trace', lambda x, point: shapes.append(x.shape) or trace(x, point)
    )
    viewer.look(Image.new('RGB', (2000, 500)), (0.5, 0.5), 1)
    assert shapes == [(1, 3, 112, 448)]


def test_backbones_of_others_are_refused():
    model = SimpleNamespace(backbone=torch.nn.Identity())
    with pytest.raises(TypeError, match='type=Identity cannot be traced'):
        page.Viewer(SimpleNamespace(model=model))


def test_views_of_which_a_block_has_nothing_are_left_out(predictor, picture):
    pixels = np.asarray(picture)
    traces = predictor.model.backbone.trace(torch.zeros(1, 3, 90, 120), (0, 0))
    random, important, *_ = place(traces)
    assert important.trace.importance_BHW is not None
    widths = [render_block(pixels, one).shape[1] for one in (random, important)]
    assert widths[0] / widths[1] == 3 / 4


@pytest.fixture(scope='module')
def server(predictor, tmp_path_factory):
    """A running page: its port and the folder for its temporary files."""
    pytest.importorskip('gradio', reason='the page needs requirements/app.txt')
    folder = tmp_path_factory.mktemp('app')
    torch.save({'state_dict': predictor.model.state_dict()}, folder / 'weights.pth')
    temporary = folder / 'tmp'
    temporary.mkdir()
    port = int(free_port())
    process = subprocess.Popen(
        [sys.executable, 'demo/app.py', CONFIG, folder / 'weights.pth', '--port', str(port)],
        cwd=ROOT,
        env={**environment(), 'TMPDIR': str(temporary)},
        stdout=(folder / 'log').open('w'),
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(('127.0.0.1', port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        else:
            pytest.fail((folder / 'log').read_text()[-3000:])
        yield port, temporary
    finally:
        process.terminate()
        process.wait(timeout=30)


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


def test_nothing_can_be_left_by_an_upload(server):
    port, temporary = server
    part = b'Content-Disposition: form-data; name="files"; filename="a"\r\n\r\nabc'
    kind = 'multipart/form-data; boundary=x'
    body = b'--x\r\n' + part + b'\r\n--x--\r\n'
    assert request(port, 'POST', '/gradio_api/upload', body, Content_Type=kind)[0] == 413
    assert [path for path in temporary.rglob('*') if path.is_file()] == []


def test_large_requests_are_refused(server):
    status, _ = request(server[0], 'POST', '/gradio_api/queue/join', bytes(30 * 2**20))
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
    context = browser.new_context()
    tab = context.new_page()
    tab.set_default_timeout(120_000)
    requested, errors = [], []
    tab.on('request', lambda request: requested.append(request.url))
    tab.on('pageerror', lambda error: errors.append(str(error)))
    tab.goto(f'http://127.0.0.1:{server[0]}')
    yield tab
    context.close()
    here = ('data:', 'blob:', f'http://127.0.0.1:{server[0]}/')
    assert [one for one in requested if not one.startswith(here)] == []
    assert errors == []


def choose(tab, picture):
    """Choose a picture as if from the disk."""
    file = dict(name='picture.png', mimeType='image/png', buffer=content(picture))
    tab.locator('#drop input').set_input_files(file)


def drop(tab, picture):
    """Drop a picture as if from another window."""
    dropped = tab.evaluate_handle(
        """(bytes) => {
            const dropped = new DataTransfer();
            dropped.items.add(new File([new Uint8Array(bytes)], 'picture.png'));
            return dropped;
        }""",
        list(content(picture)),
    )
    tab.locator('#drop label').dispatch_event('drop', dict(dataTransfer=dropped))


def image(tab, name, other_than=''):
    """Return the URL of a picture as soon as it is another."""
    element = tab.locator(f'#{name} img')
    tab.wait_for_function(
        '([name, old]) => (document.querySelector(`#${name} img`)?.src ?? old) !== old',
        arg=[name, other_than],
    )
    return element.get_attribute('src')


@pytest.mark.parametrize('give', [drop, choose])
def test_a_picture_is_searched_and_traced(server, tab, picture, viewer, give):
    give(tab, picture)
    windows = image(tab, 'windows')
    assert windows == viewer.look(picture, (0.5, 0.5), 1)
    drawn, found = viewer.search(picture)
    assert image(tab, 'drawn') == drawn
    rows = [row for row in found.splitlines() if '---' not in row]
    assert tab.locator('#found tr').count() == len(rows) > 1
    assert [path for path in server[1].rglob('*') if path.is_file()] == []


def test_a_click_changes_the_windows(tab, picture, viewer):
    choose(tab, picture)
    middle = image(tab, 'windows')
    box = tab.locator('#picture img').bounding_box()
    tab.locator('#picture img').click(position=dict(x=box['width'] * 0.91, y=box['height'] * 0.1))
    assert image(tab, 'windows', middle) == viewer.look(picture, (0.91, 0.1), 1)


def test_the_slider_changes_the_block(tab, picture, viewer):
    choose(tab, picture)
    first = image(tab, 'windows')
    tab.get_by_role('slider').press('ArrowRight')
    assert image(tab, 'windows', first) == viewer.look(picture, (0.5, 0.5), 2)


@pytest.mark.parametrize(
    'size, message',
    [(100, 'This file is broken, or not a picture'), (21_000_000, 'more than 20 megabytes')],
)
def test_a_bad_file_gives_a_message(tab, tmp_path, size, message):
    (tmp_path / 'bad.png').write_bytes(bytes(size))
    tab.locator('#drop input').set_input_files(tmp_path / 'bad.png')
    tab.locator('#message').get_by_text(message).wait_for()
    assert tab.locator('#drawn img').count() == 0


def test_users_do_not_see_the_pictures_of_others(tab, browser, server, picture):
    choose(tab, picture)
    image(tab, 'windows')
    other = browser.new_context().new_page()
    other.goto(f'http://127.0.0.1:{server[0]}')
    other.locator('#drop input').wait_for(state='attached')
    assert other.locator('img').count() == 0
