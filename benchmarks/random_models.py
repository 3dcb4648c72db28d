"""Models of real size with random weights, as folders: a forward pass costs the same whatever the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SEED = 0


def random_clip(folder: Path, name: str) -> None:
    """An open_clip folder (config and safetensors) of the architecture `name`, such as ViT-L-14."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(SEED)
    config = open_clip.get_model_config(name)
    if config is None:
        raise SystemExit(f"open_clip knows no architecture {name!r}; see open_clip.list_models()")
    model = open_clip.create_model(name, pretrained=None)
    folder.mkdir(parents=True)
    preprocess = open_clip.get_model_preprocess_cfg(model)
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=1)
    )
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")


def random_qwen2_vl(folder: Path, like: Path, **sizes: Any) -> None:
    """A Qwen2-VL folder with the processor and tokenizer of `like`, and other sizes of its parts."""
    import shutil

    import torch
    from transformers import AutoConfig, Qwen2VLForConditionalGeneration

    shutil.copytree(like, folder)
    (folder / "model.safetensors").unlink()
    config = AutoConfig.from_pretrained(like)
    for name, value in sizes.items():
        part, _, field = name.partition("__")
        setattr(getattr(config, part), field, value)
    torch.manual_seed(SEED)
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
