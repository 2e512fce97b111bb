"""Train nano at varying image sizes, evaluate in between, and print the memory of the process.

The lines are ``iteration megabytes``.
"""

import random
import resource
from pathlib import Path

import torch

from mmrsir.models import RSIRTransformer

ITERATIONS = 2000
PRINTED = 200
EVALUATED = 10


def resident_megabytes():
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main():
    torch.manual_seed(0)
    random.seed(0)
    model = RSIRTransformer('nano')
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    for iteration in range(1, ITERATIONS + 1):
        size = random.randint(1, 64), random.randint(1, 64)
        optimizer.zero_grad()
        sum(out.square().mean() for out in model(torch.randn(2, 3, *size))).backward()
        optimizer.step()
        if iteration % EVALUATED == 0:
            model.eval()
            with torch.no_grad():
                # A new number of tokens each time; the largest first, as the heap keeps that size.
                model(torch.randn(1, 3, 128, 4 * (ITERATIONS - iteration) // EVALUATED + 4))
            model.train()
        if iteration % PRINTED == 0:
            print(iteration, f'{resident_megabytes():.1f}', flush=True)


if __name__ == '__main__':
    main()
