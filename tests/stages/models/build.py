"""Folders of small models of random weights, as their libraries save them."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TEXT = {"context_length": 12, "vocab_size": 264, "width": 32, "heads": 2, "layers": 2}
VIT = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "patch_size": None}
PREPROCESS = {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.5, 0.2], "resize_mode": "squash"}
LABELS = ("cat", "dog", "news")


def tiny_clip(
    folder: Path, vision: dict[str, Any] | None = None, *, seed: int = 0, **preprocess: Any
) -> Path:
    """An open_clip folder for pictures of 32 x 32 px; embeddings of 16 numbers; a tokenizer of bytes."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    text = {**TEXT, "hf_tokenizer_name": "here", "pool_type": "argmax"}
    config = {"embed_dim": 16, "vision_cfg": vision or VIT, "text_cfg": text}
    folder.mkdir(parents=True)
    write(
        folder / "open_clip_config.json",
        {"model_cfg": config, "preprocess_cfg": {**PREPROCESS, **preprocess}},
    )
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    _tokenizer().save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: n for n, word in enumerate(("<pad>", "<bos>", *letters, "<eos>"))}
    tokenizer = Tokenizer(BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<pad>", "<bos>", "<eos>"])
    ends = [(word, words[word]) for word in ("<bos>", "<eos>")]
    tokenizer.post_processor = TemplateProcessing(single="<bos> $A <eos>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )


def tiny_transformers_classifier(folder: Path, labels: tuple[str, ...] = LABELS, **more: Any) -> Path:
    """A ViTForImageClassification for pictures of 32 x 32 px."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        id2label=dict(enumerate(labels)),
        initializer_range=0.5,
        **more,
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def tiny_timm_classifier(folder: Path, labels: tuple[str, ...] = LABELS) -> Path:
    """A timm vision transformer for pictures of 32 x 32 px."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=len(labels), **sizes)
    torch.nn.init.normal_(model.head.weight, std=0.3)
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    told = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_pct": 1.0, "interpolation": "bilinear"}
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": len(labels), "model_args": sizes}
    pretrained = {**told, "input_size": [3, 32, 32], "num_classes": len(labels)}
    write(folder / "config.json", {**config, "label_names": labels, "pretrained_cfg": pretrained})
    return folder


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def pictures(count: int, seed: int = 0) -> list[Image.Image]:
    """Smooth coloured pictures of several sizes."""
    rng = np.random.default_rng(seed)
    small = [Image.fromarray(rng.integers(0, 255, (4, 6, 3), dtype=np.uint8)) for _ in range(count)]
    return [
        picture.resize((40 + 8 * (n % 5), 36), Image.Resampling.BICUBIC) for n, picture in enumerate(small)
    ]


def jpeg(picture: Image.Image) -> bytes:
    made = io.BytesIO()
    picture.save(made, "JPEG", quality=90)
    return made.getvalue()


def frames(counts: list[int], seed: int = 0) -> list[dict[str, Any]]:
    """Rows with so many stored frames each."""
    every = iter(pictures(sum(counts), seed))
    return [
        {
            "id": f"{n:032x}",
            "frames": [{"pts": k, "time_s": float(k), "jpeg": jpeg(next(every))} for k in range(count)],
        }
        for n, count in enumerate(counts)
    ]


def tiny_detector(folder: Path, kind: str = "yolos") -> Path:
    """A YOLOS (softmax, sizes by aspect) or an RT-DETR (sigmoid, 64 x 64 px) of the same labels."""
    import torch

    torch.manual_seed(0)
    model, processor = (_yolos if kind == "yolos" else _rt_detr)()
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "class" in name and values.dim() > 1:
                # Labels far apart, so that some queries find each.
                values.normal_(0, 1.0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _yolos() -> tuple[Any, Any]:
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    config = YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=[32, 48],
        patch_size=8,
        num_detection_tokens=12,
        id2label=dict(enumerate(LABELS)),
        initializer_range=0.5,
    )
    size = {"shortest_edge": 32, "longest_edge": 64}
    return YolosForObjectDetection(config), YolosImageProcessor(size=size)


def _rt_detr() -> tuple[Any, Any]:
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrImageProcessor, RTDetrResNetConfig

    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        encoder_in_channels=[16, 16, 16],
        encoder_hidden_dim=16,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        d_model=16,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=32,
        decoder_attention_heads=2,
        decoder_layers=2,
        num_queries=12,
        num_denoising=0,
        id2label=dict(enumerate(LABELS)),
    )
    return RTDetrForObjectDetection(config), RTDetrImageProcessor(size={"height": 64, "width": 64})
