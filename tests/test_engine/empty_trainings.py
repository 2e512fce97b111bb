"""The training of a nano model by two processes of which one sees images without annotations only.

Its arguments are a config, the folder that stands in for ``data``, a folder for results, and the
settings that replace those of the config, as JSON.
"""

import json
import sys

import torch
from mmengine.dist import all_gather
from torch.nn.utils import parameters_to_vector

from mmrsir.engine import launch

from ..shrink import shrink


def main():
    config, data, work_dir, options = sys.argv[1:]
    cfg = launch.load_config(
        launch.argument_parser('').parse_args([config, '--launcher', 'pytorch'])
    )
    cfg = shrink(cfg, data, work_dir)
    cfg.merge_from_dict(json.loads(options))
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    runner = launch.build_runner(cfg)
    runner.train()
    weights = parameters_to_vector(runner.model.parameters()).detach()
    first, second = all_gather(weights)
    finite, equal = weights.isfinite().all().item(), torch.equal(first, second)
    print(f'{runner.iter} iterations, finite: {finite}, equal: {equal}', flush=True)


if __name__ == '__main__':
    main()
