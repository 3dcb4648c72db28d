"""The folder of the embedded CLIP model: its shape, its words, its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.demo.scenes import caption, picture_caption, random_picture, random_scene
from pipeline.demo.training.sample import PX

CONTEXT = 40
VOCABULARY = 512
DIMENSION = 128
# open_clip takes a tokenizer.json only where a name of one is given; of a local folder the name is not read.
MODEL: dict[str, Any] = {
    "embed_dim": DIMENSION,
    "vision_cfg": {
        "image_size": PX,
        "layers": [1, 1, 1, 1],
        "width": 16,
        "head_width": 64,
        "patch_size": None,
    },
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": VOCABULARY,
        "hf_tokenizer_name": "embedded",
        "tokenizer_kwargs": {"clean": "whitespace"},
        "width": DIMENSION,
        "heads": 4,
        "layers": 2,
        "mlp_ratio": 3.0,
        "pool_type": "argmax",
    },
}
# CLIP's own mean and deviation of pixels (Radford et al., 2021; open_clip's OPENAI_DATASET_MEAN and _STD).
PREPROCESS: dict[str, Any] = {
    "size": [PX, PX],
    "mode": "RGB",
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "squash",
    "fill_color": 0,
}
_WEIGHTS = "open_clip_model.safetensors"
_WORDS_SEED = 3
_CLIP_TEXTS, _PICTURE_TEXTS = 6000, 2000


def write_config(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1))


def write_tokenizer(folder: Path) -> Any:
    """Byte-level BPE learned from captions in all wordings, a token for most words; returns it.

    The text's end is the highest id, as open_clip's pooling ("argmax") finds it by that; padding is 0.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    last = VOCABULARY - 1
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=last, special_tokens=["<pad>", "<bos>"], initial_alphabet=alphabet, show_progress=False
    )
    words.train_from_iterator(_texts(), trainer)
    words.add_tokens([f"<unused{n}>" for n in range(last - words.get_vocab_size())])
    words.add_special_tokens(["<eos>"])
    marks = [(mark, words.token_to_id(mark)) for mark in ("<bos>", "<eos>")]
    words.post_processor = processors.TemplateProcessing(single="<bos> $A <eos>", special_tokens=marks)
    named = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, **named, model_max_length=CONTEXT, clean_up_tokenization_spaces=False
    )
    made.save_pretrained(folder)
    return made


def write_weights(model: torch.nn.Module, folder: Path) -> None:
    """In float16; open_clip loads them into float32."""
    from safetensors.torch import save_file

    state = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
        if name != "attn_mask"
    }
    save_file(state, folder / _WEIGHTS, metadata={"format": "pt"})
    # safetensors writes files that only their owner may read.
    (folder / _WEIGHTS).chmod(0o644)


def _texts() -> list[str]:
    rng = np.random.default_rng(_WORDS_SEED)
    clips = [caption(random_scene(rng), int(rng.integers(3))) for _ in range(_CLIP_TEXTS)]
    return clips + [picture_caption(random_picture(rng), int(rng.integers(3))) for _ in range(_PICTURE_TEXTS)]
