"""Small models of random weights, built on the spot and saved as real ones are."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

PAD, END, START = "<|endoftext|>", "<|im_end|>", "<|im_start|>"
VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
LOUD = 2.0
# Qwen2-VL's own template, without the system message that it adds and without what no test says.
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_captioner(folder: Path, *, seed: int = 0, vocabulary: int = 264) -> Path:
    """A Qwen2-VL of random weights for pictures of 64 x 64 px: model, processor, tokenizer of bytes.

    `vocabulary` is the size of the embedding table; the tokenizer has 263 words.
    """
    import torch
    from transformers import Qwen2VLForConditionalGeneration

    words = _words()
    torch.manual_seed(seed)
    model = Qwen2VLForConditionalGeneration(_config(words, vocabulary))
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.dim() > 1:
                # Far apart, so that the likeliest word is likeliest whatever the order of the arithmetic.
                values.normal_(0, 0.5 if "embed_tokens" in name else 0.15)
        # Likelier than other words, so that some captions end by themselves.
        model.get_input_embeddings().weight[words[END]] *= LOUD
    model.generation_config.eos_token_id = words[END]
    model.generation_config.pad_token_id = words[PAD]
    model.save_pretrained(folder)
    _processor(words).save_pretrained(folder)
    return folder


def _words() -> dict[str, int]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return {word: n for n, word in enumerate((*letters, PAD, START, END, *VISION))}


def _config(words: dict[str, int], vocabulary: int) -> Any:
    from transformers import Qwen2VLConfig

    rope = {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 10000.0}
    text = {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 512,
        "rope_parameters": rope,
        "tie_word_embeddings": True,
        "bos_token_id": words[START],
        "eos_token_id": words[END],
        "pad_token_id": words[PAD],
    }
    vision = {"depth": 2, "embed_dim": 96, "hidden_size": 64, "num_heads": 3, "patch_size": 8, "mlp_ratio": 2}
    return Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=words["<|image_pad|>"],
        video_token_id=words["<|video_pad|>"],
        vision_start_token_id=words["<|vision_start|>"],
        vision_end_token_id=words["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def _processor(words: dict[str, int]) -> Any:
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    letters = {word: n for word, n in words.items() if word not in (PAD, START, END, *VISION)}
    tokenizer = Tokenizer(BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([PAD, START, END, *VISION])
    assert words == tokenizer.get_vocab()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START, *VISION],
        padding_side="left",
    )
    pictures = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2}
    pictures |= {"size": {"shortest_edge": 4096, "longest_edge": 4096}}
    return Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pictures),
        tokenizer=fast,
        video_processor=Qwen2VLVideoProcessor(
            **pictures, do_sample_frames=False, cap_pixels_per_frame=False, min_frames=1
        ),
        chat_template=CHAT,
    )
