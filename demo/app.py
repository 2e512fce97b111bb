"""A web page on this machine: drop a picture, see what a model finds and what any point sees.

Needs `pip install -c requirements/constraints.txt -r requirements/app.txt`. Example:
    python demo/app.py configs/mask_rcnn/rsir_n_shapes.py work_dirs/demo/epoch_8.pth
"""

import argparse
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from mmrsir import replacements
from mmrsir.apis import Predictor
from mmrsir.apis.page import MAX_MEGABYTES, UnusablePictureError, Viewer, mark, read_upload
from mmrsir.checkpoints import safe_loading
from mmrsir.datasets.loading.image_files import image_suffixes
from mmrsir.utils.errors import plain_errors
from mmrsir.visualization.blocks import VIEWS

HOST = '127.0.0.1'
MIDDLE = (0.5, 0.5)
KEPT_SECONDS = 3600  # a picture, and what is drawn of it
# Nothing comes from another host or goes to one. Gradio compiles its templates: 'unsafe-eval'.
SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "object-src 'none'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
INTRODUCTION = """# RSIR: what a model finds, and what each point sees

**{model}**. Drop a picture: the page shows what the model finds in it. Click a point: the page
shows which other patches this point attends to. Pictures stay on this machine. They are deleted
after an hour, or when you stop the server.
"""


def build_page(viewer: Viewer, model: str, score_thr: float | None) -> gr.Blocks:
    """Build the page; ``score_thr`` is None for a model that finds no objects."""
    with gr.Blocks(
        title=f'RSIR: {model}',
        analytics_enabled=False,
        delete_cache=(KEPT_SECONDS // 6, KEPT_SECONDS),
    ) as page:
        gr.Markdown(INTRODUCTION.format(model=model))
        uploaded = gr.File(
            label=f'Picture, at most {MAX_MEGABYTES} MB',
            file_types=list(image_suffixes()),
            height=140,
            elem_id='upload',
        )
        picture = gr.State(time_to_live=KEPT_SECONDS)
        point = gr.State(MIDDLE)
        with gr.Column(visible=False) as results:
            with gr.Row():
                with gr.Column(min_width=300):
                    gr.Markdown('### Click a point of the picture')
                    shown = _image('The picture, with the point', 'picture')
                with gr.Column(min_width=300):
                    gr.Markdown('### What the model finds')
                    drawn = _image('The picture with what the model finds', 'drawn')
            threshold = gr.Slider(
                0,
                1,
                score_thr or 0,
                step=0.05,
                label='Show objects with at least this score',
                visible=score_thr is not None,
                elem_id='threshold',
            )
            found = gr.Dataframe(
                interactive=False, show_label=False, max_height=240, elem_id='found'
            )
            block = gr.Slider(
                1, viewer.num_blocks, 1, step=1, label='Block of the backbone', elem_id='block'
            )
            title = gr.Markdown(elem_id='title')
            with gr.Row():
                views = [_image(view.title, name, min_width=420) for name, view in VIEWS.items()]

        def open_picture(path: str | None, score: float, number: int) -> dict[Any, Any]:
            if path is None:
                return {results: gr.Column(visible=False), picture: None}
            try:
                opened = read_upload(path, viewer.reading)
            except UnusablePictureError as error:
                raise gr.Error(str(error), print_exception=False) from error
            return {
                results: gr.Column(visible=True),
                picture: opened,
                **search(opened, score),
                **look(opened, MIDDLE, number),
            }

        def search(opened: Any, score: float) -> dict[Any, Any]:
            image, (headings, *rows) = viewer.search(opened, score)
            return {drawn: image, found: gr.Dataframe(rows, headers=headings)}

        def look(opened: Any, at: tuple[float, float], number: int) -> dict[Any, Any]:
            block_title, images = viewer.look(opened, at, number)
            return {
                point: at,
                shown: mark(opened.pixels, at),
                title: f'### {block_title}',
                **{
                    view: gr.Image(image, visible=image is not None)
                    for view, image in zip(views, images, strict=True)
                },
            }

        def click(opened: Any, number: int, event: gr.SelectData) -> dict[Any, Any]:
            height, width = opened.pixels.shape[:2]
            return look(opened, (event.index[0] / width, event.index[1] / height), number)

        # One after the other: the libraries' visualizers hold the picture that they draw.
        one_by_one: dict[str, Any] = dict(
            concurrency_id='model',
            concurrency_limit=1,
            trigger_mode='always_last',
            api_visibility='private',
        )
        looked_at = [point, shown, title, *views]
        uploaded.change(
            open_picture,
            [uploaded, threshold, block],
            [results, picture, drawn, found, *looked_at],
            **one_by_one,
        )
        threshold.change(search, [picture, threshold], [drawn, found], **one_by_one)
        shown.select(click, [picture, block], looked_at, **one_by_one)
        block.change(look, [picture, point, block], looked_at, **one_by_one)
    return page


def _image(text: str, name: str, **settings: Any) -> gr.Image:
    return gr.Image(
        show_label=False,
        format='png',
        interactive=False,
        buttons=['fullscreen'],
        elem_id=name,
        alt_text=text,
        **settings,
    )


def build_app(page: gr.Blocks) -> FastAPI:
    """Build the server, which answers only to names of this machine, for pages that stay on it."""
    app = FastAPI()

    @app.middleware('http')
    async def add_policy(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await answer(request)
        response.headers['Content-Security-Policy'] = SECURITY_POLICY
        return response

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, 'localhost'])
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_MEGABYTES * 1_010_000)
    return gr.mount_gradio_app(
        app,
        page,
        path='/',
        server_name=HOST,
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=MAX_MEGABYTES * 1_000_000,
        ssr_mode=False,
        mcp_server=False,
    )


def main() -> None:
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
    predictor = Predictor(args.config, args.checkpoint, args.device, args.score_thr)
    viewer = Viewer(predictor)
    names = [Path(args.config).stem, Path(args.checkpoint).name]
    model = ', '.join(dict.fromkeys(names))
    score_thr = args.score_thr if predictor.cfg.default_scope == 'mmdet' else None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # which deletes the folder
    with TemporaryDirectory(prefix='mmrsir-page-') as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder  # for uploads and drawn pictures
        print(f'Open http://{HOST}:{args.port} in a browser; Ctrl-C ends.')
        app = build_app(build_page(viewer, model, score_thr))
        uvicorn.run(app, host=HOST, port=args.port, log_level='warning')


if __name__ == '__main__':
    with plain_errors():
        main()
