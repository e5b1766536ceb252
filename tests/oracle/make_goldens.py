"""Write the golden files of the ordinary tests from the reference networks: ``tox -e goldens``.

A file holds an input and what the reference made of it; the weights are given by `seeded_weights` and not stored.
"""

from __future__ import annotations

import numpy as np
from golden_cases import CASES, FOLDER, golden_image, golden_output
from oracle.reference_networks import reference


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, case in CASES.items():
        image = golden_image(name)
        output = golden_output(reference(case["network"], case["parameters"]), image)
        np.savez_compressed(FOLDER / f"{name}.npz", image=image.numpy(), output=output.numpy())
        print(f"{name}: {tuple(output.shape)}, {output.mean():.3f} ± {output.std():.3f}")


if __name__ == "__main__":
    main()
