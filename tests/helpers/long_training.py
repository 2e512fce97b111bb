"""Train nano at varying image sizes, evaluate in between, and print the memory of the process.

A line is ``iteration megabytes``. Two stages are enough: their blocks are those of all stages.
"""

import random
import resource
from pathlib import Path

import torch

from mmrsir.models import RSIRTransformer, fixed_order

ITERATIONS = 2000
PRINTED = 200
EVALUATED = 10


def resident_megabytes():
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main():
    fixed_order._cache.max_bytes = 2**20  # full long before the half
    torch.manual_seed(0)
    random.seed(0)
    model = RSIRTransformer('nano', out_indices=(0, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    # Each gives another number of tokens.
    widths = random.sample(range(4, 1204, 4), ITERATIONS // EVALUATED)
    for iteration in range(1, ITERATIONS + 1):
        size = random.randint(1, 64), random.randint(1, 64)
        optimizer.zero_grad()
        sum(out.square().mean() for out in model(torch.randn(2, 3, *size))).backward()
        optimizer.step()
        if iteration % EVALUATED == 0:
            model.eval()
            with torch.no_grad():
                model(torch.randn(1, 3, 256, widths.pop()))
            model.train()
        if iteration % PRINTED == 0:
            print(iteration, f'{resident_megabytes():.1f}', flush=True)


if __name__ == '__main__':
    main()
