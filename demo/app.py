"""A web page on this machine: drop a picture, see what a model finds and what any point sees.

Needs `pip install -c requirements/constraints.txt -r requirements/app.txt`. Example:
    python demo/app.py configs/mask_rcnn/rsir_n_shapes.py work_dirs/demo/epoch_8.pth
"""

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from mmrsir import replacements
from mmrsir.apis import Predictor
from mmrsir.apis.page import (
    FORMATS,
    MAX_MEGABYTES,
    TRACED_SIDE,
    UnusablePictureError,
    Viewer,
    read_url,
    shrink,
    to_url,
)
from mmrsir.checkpoints import safe_loading
from mmrsir.utils.errors import plain_errors

HOST = '127.0.0.1'
MIDDLE = (0.5, 0.5)
# Nothing comes from another host or goes to one. Gradio compiles its templates: 'unsafe-eval'.
SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "object-src 'none'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
# Gradio's own components for pictures write files; this one sends what is dropped in the request.
DROP_ZONE = f"""
<label>
  <b>Drop a picture here, or click to choose one</b><br>
  {', '.join(FORMATS)}; at most {MAX_MEGABYTES} MB. It stays on this machine, and is kept nowhere.
  <input type="file" accept=".bmp,.jpg,.jpeg,.png,.webp" aria-label="Picture">
</label>
"""
DROP_STYLE = """
label { display: block; padding: 2em; text-align: center; cursor: pointer;
        border: 2px dashed var(--border-color-primary); border-radius: var(--radius-lg); }
input { position: absolute; opacity: 0; }
label:focus-within { border-color: var(--color-accent); }
"""
SEND = f"""
const send = (file) => {{
  if (!file) return;
  if (file.size > {MAX_MEGABYTES}e6) return trigger('upload', {{url: ''}});
  const reader = new FileReader();
  reader.onload = () => trigger('upload', {{url: reader.result}});
  reader.readAsDataURL(file);
}};
element.addEventListener('change', (event) => {{
  send(event.target.files[0]);
  event.target.value = '';
}});
element.addEventListener('dragover', (event) => event.preventDefault());
element.addEventListener('drop', (event) => {{
  event.preventDefault();
  send(event.dataTransfer.files[0]);
}});
"""
IMAGE = '${value ? `<img src="${value}" alt="${alt}">` : ""}'
IMAGE_STYLE = 'img { width: 100%; }'
POINT_AT = """
element.addEventListener('click', (event) => {
  if (event.target.tagName !== 'IMG') return;
  const box = event.target.getBoundingClientRect();
  const share = (position, start, size) => Math.min(Math.max((position - start) / size, 0), 1);
  trigger('select', {
    point: [share(event.clientX, box.left, box.width), share(event.clientY, box.top, box.height)],
  });
});
"""


def build_page(viewer: Viewer) -> gr.Blocks:
    """Build the page.

    Args:
        viewer: What it shows.

    Returns:
        The page.
    """
    with gr.Blocks(title='RSIR', analytics_enabled=False) as page:
        dropped = gr.HTML(
            html_template=DROP_ZONE, css_template=DROP_STYLE, js_on_load=SEND, elem_id='drop'
        )
        message = gr.Markdown(elem_id='message')
        with gr.Row():
            with gr.Column():
                gr.Markdown('### Click a point of the picture')
                picture = _image('The picture', POINT_AT, 'picture')
            with gr.Column():
                gr.Markdown('### What the model finds')
                drawn = _image('The picture with what was found', None, 'drawn')
        block = gr.Slider(1, viewer.num_blocks, 1, step=1, label='Block of the backbone')
        windows = _image('What the point sees in the block', None, 'windows')
        found = gr.Markdown(elem_id='found')
        point = gr.State(MIDDLE)

        def open_picture(number: int, event: gr.EventData) -> dict[Any, Any]:
            try:
                opened = read_url(event.url, viewer.reading)
            except UnusablePictureError as error:
                return {message: str(error)}
            searched, table = viewer.search(opened)
            return {
                message: '',
                picture: to_url(shrink(opened, TRACED_SIDE)),
                drawn: searched,
                found: table,
                point: MIDDLE,
                windows: viewer.look(opened, MIDDLE, number),
            }

        def look(url: str, number: int, event: gr.EventData) -> tuple[Any, str]:
            return event.point, viewer.look(read_url(url), event.point, number)

        def look_again(url: str, chosen: tuple[float, float], number: int) -> Any:
            return viewer.look(read_url(url), chosen, number) if url else gr.skip()

        # One after the other: the libraries' visualizers hold the picture that they draw.
        one_by_one: dict[str, Any] = dict(
            concurrency_id='model',
            concurrency_limit=1,
            trigger_mode='always_last',
            api_visibility='private',
        )
        results = [message, picture, drawn, found, point, windows]
        dropped.upload(open_picture, block, results, **one_by_one)
        picture.select(look, [picture, block], [point, windows], **one_by_one)
        block.change(look_again, [picture, point, block], windows, **one_by_one)
    return page


def _image(alt: str, script: str | None, name: str) -> gr.HTML:
    """Return a component that shows the picture of a data URL."""
    return gr.HTML(
        html_template=IMAGE, css_template=IMAGE_STYLE, js_on_load=script, elem_id=name, alt=alt
    )


def build_app(page: gr.Blocks) -> FastAPI:
    """Build the server of the page.

    Args:
        page: The page.

    Returns:
        The server, which answers only to names of this machine, and whose pages load nothing from
        elsewhere.
    """
    app = FastAPI()

    @app.middleware('http')
    async def add_policy(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await answer(request)
        response.headers['Content-Security-Policy'] = SECURITY_POLICY
        return response

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, 'localhost'])
    # Base64 takes four bytes for three.
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_MEGABYTES * 1_400_000)
    return gr.mount_gradio_app(
        app,
        page,
        path='/',
        server_name=HOST,
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=1,  # byte: the page uploads no files, and others shall not leave any
        ssr_mode=False,
        mcp_server=False,
    )


def main() -> None:
    """Parse the command line, load the model and serve the page."""
    replacements.enable()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file, or the name of one of ours')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--port', type=int, default=7860, help='default: %(default)s')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='of objects (default: %(default)s)'
    )
    parser.add_argument('--device', help='cpu, cuda or cuda:1 (default: cuda if there is one)')
    safe_loading.add_unsafe_flag(parser)
    args = parser.parse_args()
    viewer = Viewer(Predictor(args.config, args.checkpoint, args.device, args.score_thr))
    print(f'Open http://{HOST}:{args.port} in a browser; Ctrl-C ends.')
    uvicorn.run(build_app(build_page(viewer)), host=HOST, port=args.port, log_level='warning')


if __name__ == '__main__':
    with plain_errors():
        main()
