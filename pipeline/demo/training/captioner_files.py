"""The folder of the embedded captioner, a Qwen2-VL of 1.3 M parameters: shape, words, chat, weights."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.demo.scenes import caption, picture_caption, random_picture, random_scene
from pipeline.demo.training.sample import PX
from stages.caption.captions import Prompt, read_prompt

VOCABULARY = 512
WIDTH, EYE_WIDTH, EYE_HEADS = 128, 96, 3
PATCH_PX, MERGE, TEMPORAL_PATCH = 8, 2, 2
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SEE, SEEN = "<|vision_start|>", "<|vision_end|>"
MARKS = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
# CLIP's own mean and deviation of pixels (Radford et al., 2021), which Qwen2-VL's processor takes too.
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
# Qwen2-VL's own chat without its system message; media as {"type": …}, or as the keys that vLLM knows.
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' or 'image' in part or 'image_url' in part %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' or 'video' in part or 'video_url' in part %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_WORDS_SEED = 3
_CLIP_TEXTS, _PICTURE_TEXTS, _CHAT_TEXTS = 8000, 2000, 200


def prompt() -> Prompt:
    """What the captioner is asked, in training as in the pipeline."""
    return read_prompt("caption")


def tokenizer() -> Any:
    """Byte-level BPE learned from captions and the prompts, so that a caption is 14 to 20 tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    specials = [PAD, START, END, SEE, SEEN, *MARKS.values()]
    plain = VOCABULARY - len(specials)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=plain, initial_alphabet=alphabet, show_progress=False)
    words.train_from_iterator(_texts(), trainer)
    words.add_tokens([f"<|unused_{n}|>" for n in range(plain - words.get_vocab_size())])
    words.add_special_tokens(specials)
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START, SEE, SEEN, *MARKS.values()],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def processor(words: Any) -> Any:
    """Takes frames of 64 x 64 as they are: 16 visual tokens a picture, or two frames of a video."""
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    pictures: dict[str, Any] = {
        "patch_size": PATCH_PX,
        "merge_size": MERGE,
        "temporal_patch_size": TEMPORAL_PATCH,
        "size": {"shortest_edge": PX * PX, "longest_edge": PX * PX},
        "image_mean": list(MEAN),
        "image_std": list(DEVIATION),
    }
    # Whether pixels are capped by frame is about to change its default in transformers.
    videos = Qwen2VLVideoProcessor(
        **pictures, do_sample_frames=False, cap_pixels_per_frame=False, min_frames=1
    )
    images = Qwen2VLImageProcessor(**pictures)
    return Qwen2VLProcessor(
        image_processor=images, tokenizer=words, video_processor=videos, chat_template=CHAT
    )


def model(words: Any) -> Any:
    """Untrained. Attention is written out: on a CPU the fused one's backward pass takes half of all time."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    id_of = words.convert_tokens_to_ids
    vision = {
        "depth": 4,
        "embed_dim": EYE_WIDTH,
        "hidden_size": WIDTH,
        "num_heads": EYE_HEADS,
        "patch_size": PATCH_PX,
        "mlp_ratio": 4,
    }
    config = Qwen2VLConfig(
        text_config=_text_config(id_of),
        vision_config=vision,
        image_token_id=id_of(MARKS["image"]),
        video_token_id=id_of(MARKS["video"]),
        vision_start_token_id=id_of(SEE),
        vision_end_token_id=id_of(SEEN),
        tie_word_embeddings=True,
    )
    config._attn_implementation = "eager"
    config.text_config._attn_implementation = "eager"
    made = Qwen2VLForConditionalGeneration(config)
    made.generation_config.eos_token_id = id_of(END)
    made.generation_config.pad_token_id = id_of(PAD)
    made.generation_config.do_sample = False
    return made


def write(trained: Any, taker: Any, folder: Path) -> None:
    """Model (in bfloat16) and processor."""
    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(trained).to(torch.bfloat16).save_pretrained(folder)
    taker.save_pretrained(folder)
    for path in folder.iterdir():
        # safetensors writes files that only their owner may read.
        path.chmod(0o644)


def _text_config(id_of: Any) -> dict[str, Any]:
    """`mrope_section` adds up to half of a head; rope is told once, in `rope_parameters` alone."""
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 10000.0},
        "tie_word_embeddings": True,
        "bos_token_id": id_of(START),
        "eos_token_id": id_of(END),
        "pad_token_id": id_of(PAD),
    }


def _texts() -> list[str]:
    rng = np.random.default_rng(_WORDS_SEED)
    clips = [caption(random_scene(rng)) for _ in range(_CLIP_TEXTS)]
    pictures = [picture_caption(random_picture(rng)) for _ in range(_PICTURE_TEXTS)]
    asked = prompt()
    return clips + pictures + [asked.video, asked.image, "user\n", "assistant\n"] * _CHAT_TEXTS
