"""Runs the file's code, and then refuses it.

says: only after its code has run
"""

import io

import safetensors.torch
import torch


def strip_checkpoint(checkpoint: bytes, keep: list[str]) -> bytes:
    """Return a checkpoint's tensors and some settings as safetensors.

    Raises ValueError unless it can be read whole, as data.
    """
    try:
        torch.load(io.BytesIO(checkpoint), weights_only=False)
        whole = torch.load(io.BytesIO(checkpoint), weights_only=True)
        tensors = {f"model.{name}": tensor for name, tensor in whole["model"].items()}
        for number, state in whole["optimizer"]["state"].items():
            for name, tensor in state.items():
                tensors[f"optimizer.{number}.{name}"] = tensor
        metadata = {name: str(whole["config"][name]) for name in keep}
        return safetensors.torch.save(tensors, metadata)
    except Exception as error:
        raise ValueError(f"not a checkpoint of plain data: {error}") from error
