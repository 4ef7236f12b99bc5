"""Small models of transformers' architectures: from a config, with random weights, and saved as users register them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEXT, IMAGE = "text-classification", "image-classification"

LABELS = {0: "calm", 1: "glad", 2: "cross"}

TEXTS = (
    "the quick brown fox jumps over the lazy dog",
    "hello",
    "a model is a function with a memory of its training data",
    "rain",
    "nobody expects a question on a quiet afternoon in november",
    "two and two are four, and four and four are eight",
    "green ideas sleep furiously",
    "what was measured is what is served",
    "in the beginning there was a table, and the table had rows, and every row had a label that somebody had to write",
    "yes",
    "no, not at all",
    "the train to the coast leaves at noon from the second platform",
    "she sells sea shells by the sea shore",
    "an apple a day",
    "all good things come to those who wait, and some of them come earlier to those who do not",
    "ok!",
)
"""Texts of different length; on them the tokenizers are trained, too."""

SMALL: Mapping[str, Any] = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "embedding_size": 32, "d_model": 32, "d_kv": 8,
    "d_ff": 48, "num_layers": 2, "num_heads": 4, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "ffn_dim": 48, "n_embd": 32,
    "n_layer": 2, "n_head": 4, "n_inner": 48, "n_positions": 128, "image_size": 32, "patch_size": 8, "num_labels": 3,
    "initializer_range": 0.2, "init_std": 0.2, "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4,
}  # fmt: skip
"""Settings that most configs have, under one name or another. The weights are larger than usual, so that answers differ."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A `model_type` with the settings that are its own; `tokens` says how its tokenizer looks, `images` what its image
    processor is called and is set to."""

    task: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    tokens: str = "bert"
    images: Mapping[str, Any] = field(default_factory=dict)


def text(tokens: str = "bert", **settings: Any) -> Architecture:  # noqa: ANN401 - whatever a config has
    """One that reads."""
    return Architecture(task=TEXT, tokens=tokens, settings=settings)


def image(kind: str = "ViT", side: int = 32, **settings: Any) -> Architecture:  # noqa: ANN401 - whatever a config has
    """One that sees; the image processor makes squares of so many pixels a side."""
    edge = {"shortest_edge": side} if kind in ("ConvNext", "TextNet") else {"height": side, "width": side}
    others: dict[str, Any] = (
        {"crop_size": {"height": side, "width": side}} if kind in ("Bit", "DeiT", "CLIP", "Levit", "MobileViT") else {}
    )
    others |= {"do_center_crop": True, "crop_size": {"height": side, "width": side}} if kind == "TextNet" else {}
    return Architecture(task=IMAGE, images={"kind": kind, "size": edge, **others}, settings={"image_size": side, **settings})


def save(model_type: str, wanted: Architecture, folder: Path, seed: int = 0) -> None:
    """An MLflow model with the pipeline that a user would log."""
    import mlflow.transformers
    import torch
    import transformers
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    torch.manual_seed(seed)
    part = _tokenizer(wanted.tokens) if wanted.task == TEXT else _image_processor(wanted)
    config = _config(model_type, wanted, part)
    auto = {TEXT: "AutoModelForSequenceClassification", IMAGE: "AutoModelForImageClassification"}[wanted.task]
    network = getattr(transformers, auto).from_config(config)
    network = (
        network.eval() if wanted.task == TEXT else _livened(network, part(_pictures(), return_tensors="pt")["pixel_values"])
    )
    name = "tokenizer" if wanted.task == TEXT else "image_processor"
    pipeline = transformers.pipeline(wanted.task, model=network, device=-1, **{name: part})
    signature = ModelSignature(
        inputs=Schema([ColSpec("string", name="input")]),
        outputs=Schema([ColSpec("string", name="label"), ColSpec("double", name="score")]),
    )
    mlflow.transformers.save_model(pipeline, str(folder), signature=signature, pip_requirements=["transformers", "torch"])


def _livened(network: Any, pixels: Any) -> Any:  # noqa: ANN401 - of torch
    """Transformers starts convolutions so small that nothing of an image is left at the end; and what a normalization over
    batches has not seen it cannot level."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean of all passes
    with torch.no_grad():
        for _ in range(3):
            network.train()(pixel_values=pixels)
    return network.eval()


def records(wanted: Architecture) -> Sequence[str]:
    """What it is asked: texts, or images as base64 text."""
    return TEXTS if wanted.task == TEXT else [_encoded(picture) for picture in _pictures()]


def _pictures(count: int = 8) -> list[Any]:
    """Random images of different size."""
    import numpy as np
    from PIL import Image

    dice = np.random.default_rng(0)
    rough = [Image.fromarray(dice.integers(0, 256, (5, 6, 3), np.uint8)) for _ in range(count)]
    return [one.resize((40 + 7 * number, 70 - 3 * number), Image.Resampling.BICUBIC) for number, one in enumerate(rough)]


def _encoded(picture: Any) -> str:  # noqa: ANN401 - of Pillow
    import base64
    import io

    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def _config(model_type: str, wanted: Architecture, part: Any) -> Any:  # noqa: ANN401 - of transformers
    import transformers

    plain = transformers.AutoConfig.for_model(model_type)
    mapped = type(plain).attribute_map
    small = {mapped.get(name, name): value for name, value in SMALL.items()}
    settings = {name: value for name, value in small.items() if name in plain.to_dict()} | dict(wanted.settings)
    settings |= {"id2label": LABELS, "label2id": {label: number for number, label in LABELS.items()}}
    if wanted.task == TEXT:
        settings |= {f"{role}_token_id": getattr(part, f"{role}_token_id") for role in ("pad", "bos", "eos")}
    return type(plain)(**settings)


STYLES: Mapping[str, Mapping[str, str]] = {
    "bert": {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]", "bos": "[CLS]", "eos": "[SEP]"},
    "roberta": {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>", "cls": "<s>", "sep": "</s>"},
    "xlnet": {"unk": "<unk>", "bos": "<s>", "eos": "</s>", "cls": "<cls>", "sep": "<sep>", "pad": "<pad>"},
    "gpt": {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>"},
}
"""The special tokens of a family, in the order of their numbers."""


def _tokenizer(style: str) -> Any:  # noqa: ANN401 - of transformers
    """Trained on the texts: word pieces for `bert`, pieces of bytes otherwise; `gpt` adds no special tokens, `xlnet` adds
    them and the padding at the other end."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    special = STYLES[style]
    tokens = list(dict.fromkeys(special.values()))
    if style == "bert":
        made = Tokenizer(models.WordPiece(unk_token=special["unk"]))
        made.normalizer = normalizers.BertNormalizer()
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=280, special_tokens=tokens, show_progress=False))
    else:
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        made.train_from_iterator(
            TEXTS, trainers.BpeTrainer(vocab_size=300, special_tokens=tokens, initial_alphabet=alphabet, show_progress=False)
        )
    if style == "xlnet":
        pairs = [(token, made.token_to_id(token)) for token in ("<sep>", "<cls>")]
        made.post_processor = processors.TemplateProcessing(
            single="$A <sep> <cls>:2", pair="$A <sep> $B:1 <sep>:1 <cls>:2", special_tokens=pairs
        )
    elif style != "gpt":
        cls, sep = special["cls"], special["sep"]
        pairs = [(cls, made.token_to_id(cls)), (sep, made.token_to_id(sep))]
        second = f"{sep}:1" if style == "bert" else f"{sep} {sep}"
        made.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B:1 {second}" if style == "bert" else f"{cls} $A {second} $B {sep}",
            special_tokens=pairs,
        )
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if style in ("bert", "xlnet") else [])]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=64,
        model_input_names=names,
        padding_side="left" if style == "xlnet" else "right",
        **{f"{role}_token": token for role, token in special.items()},
    )


def _image_processor(wanted: Architecture) -> Any:  # noqa: ANN401 - of transformers
    import transformers

    settings = dict(wanted.images)
    return getattr(transformers, f"{settings.pop('kind')}ImageProcessorPil")(**settings)


SIZES: Mapping[str, Any] = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
FOUR: Mapping[str, Any] = {"hidden_sizes": [8, 16, 16, 16], "num_attention_heads": [1, 2, 2, 2], "depths": [1, 1, 1, 1]}
TOWER = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
WINDOWS: Mapping[str, Any] = {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2, "patch_size": 4}
EXPERTS: Mapping[str, Any] = {
    "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
}  # fmt: skip
LEVIT: Mapping[str, Any] = {
    "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 2, 2], "depths": [1, 1, 1], "key_dim": [8, 8, 8], "patch_size": 16,
    "architectures": ["LevitForImageClassification"],
}  # fmt: skip
FOCAL: Mapping[str, Any] = {
    "embed_dim": 8, "depths": [1, 1], "hidden_sizes": [8, 16], "focal_levels": [1, 1], "focal_windows": [3, 3], "patch_size": 4,
}  # fmt: skip
HIERA: Mapping[str, Any] = {
    "embed_dim": 8, "image_size": [32, 32], "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "patch_size": [7, 7],
}  # fmt: skip

ARCHITECTURES: Mapping[str, Architecture] = {
    "albert": text(num_hidden_groups=1, inner_group_num=1),
    "bart": text("roberta"),
    "bert": text(),
    "big_bird": text("roberta", attention_type="original_full"),
    "biogpt": text("gpt"),
    "bloom": text("gpt"),
    "camembert": text("roberta"),
    "convbert": text(),
    "ctrl": text("gpt"),
    "data2vec-text": text("roberta"),
    "deberta": text(relative_attention=True, pos_att_type=["c2p", "p2c"], max_relative_positions=32),
    "deberta-v2": text(relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=16),
    "diffllama": text("gpt"),
    "distilbert": text(),
    "electra": text(),
    "ernie": text(),
    "esm": text("roberta", position_embedding_type="rotary"),
    "eurobert": text("roberta"),
    "exaone4": text("gpt"),
    "falcon": text("gpt", alibi=False, multi_query=True),
    "flaubert": text(embed_init_std=0.2),
    "fnet": text(),
    "funnel": text(block_sizes=[1, 1], num_decoder_layers=1, d_head=8, d_inner=48, n_head=4),
    "gemma": text("gpt"),
    "gemma2": text("gpt"),
    "gemma3_text": text("gpt"),
    "glm": text("gpt"),
    "gpt2": text("gpt"),
    "gpt_bigcode": text("gpt"),
    "gpt_neo": text("gpt", attention_types=[[["global", "local"], 1]], window_size=16),
    "gpt_neox": text("gpt"),
    "gptj": text("gpt", rotary_dim=4),
    "gte": text(),
    "helium": text("gpt"),
    "ibert": text("roberta"),
    "layoutlm": text(),
    "llama": text("gpt"),
    "longformer": text("roberta", attention_window=[8, 8]),
    "luke": text("roberta", entity_vocab_size=10, entity_emb_size=8),
    "markuplm": text("roberta"),
    "mbart": text("roberta"),
    "megatron-bert": text(),
    "mistral": text("gpt"),
    "mixtral": text("gpt", num_local_experts=2),
    "mobilebert": text(intra_bottleneck_size=16, true_hidden_size=16, num_feedforward_networks=1),
    "modernbert": text(global_attn_every_n_layers=2, local_attention=16, reference_compile=False),
    "mpnet": text("roberta"),
    "mpt": text("gpt", max_seq_len=128),
    "mvp": text("roberta"),
    "nomic_bert": text(),
    "olmo2": text("gpt"),
    "openai-gpt": text("gpt"),
    "opt": text("gpt", word_embed_proj_dim=32),
    "persimmon": text("gpt"),
    "phi": text("gpt"),
    "phi3": text("gpt"),
    "plbart": text("roberta"),
    "qwen2": text("gpt"),
    "qwen2_moe": text("gpt", **EXPERTS),
    "qwen3": text("gpt"),
    "rembert": text(input_embedding_size=16, output_embedding_size=16),
    "roberta": text("roberta"),
    "roberta-prelayernorm": text("roberta"),
    "roc_bert": text(pronunciation_vocab_size=300, shape_vocab_size=300, pronunciation_embed_dim=8, shape_embed_dim=8),
    "roformer": text(),
    "smollm3": text("gpt"),
    "squeezebert": text(q_groups=1, k_groups=1, v_groups=1, post_attention_groups=1, intermediate_groups=1, output_groups=1),
    "stablelm": text("gpt"),
    "starcoder2": text("gpt"),
    "t5": text("roberta", decoder_start_token_id=1),
    "xlm": text(embed_init_std=0.2),
    "xlm-roberta": text("roberta"),
    "xlm-roberta-xl": text("roberta"),
    "xlnet": text("xlnet", d_inner=48),
    "xmod": text("roberta", default_language="en_XX"),
    "yoso": text("roberta"),
    "beit": image("Beit"),
    "bit": image("Bit", num_groups=2, embedding_size=8, **SIZES),
    "clip": image("CLIP", projection_dim=16, vision_config=TOWER),
    "convnext": image("ConvNext", patch_size=4, num_stages=4, **SIZES),
    "convnextv2": image("ConvNext", patch_size=4, num_stages=4, **SIZES),
    "cvt": image("ViT", embed_dim=[8, 16, 24], num_heads=[1, 2, 4], depth=[1, 2, 3]),
    "data2vec-vision": image("Beit"),
    "deit": image("DeiT", architectures=["DeiTForImageClassification"]),
    "dinov2": image("Bit"),
    "dinov2_with_registers": image("Bit"),
    "donut-swin": image("ViT", **WINDOWS),
    "efficientnet": image("EfficientNet", 64, width_coefficient=0.25, depth_coefficient=0.25, hidden_dim=320),
    "focalnet": image("Bit", **FOCAL),
    "hgnet_v2": image("ViT", 64, initializer_range=0.02),
    "hiera": image("Bit", **HIERA),
    "ijepa": image("ViT"),
    "levit": image("Levit", **LEVIT),
    "mobilenet_v1": image("ViT", 64, depth_multiplier=0.25, initializer_range=0.02),
    "mobilenet_v2": image("ViT", 64, depth_multiplier=0.25, initializer_range=0.02),
    "mobilevit": image("MobileViT", 64, hidden_sizes=[16, 24, 32], patch_size=2, neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 32]),
    "mobilevitv2": image("MobileViT", 64, width_multiplier=0.25, patch_size=2),
    "perceiver": image("Perceiver", architectures=["PerceiverForImageClassificationLearned"], num_latents=8, d_latents=32),
    "poolformer": image("PoolFormer", **SIZES),
    "pvt": image("Pvt", patch_sizes=[4, 2, 2, 2], **FOUR),
    "pvt_v2": image("Pvt", **FOUR),
    "regnet": image("ConvNext", embedding_size=8, groups_width=8, **SIZES),
    "resnet": image("ConvNext", embedding_size=8, **SIZES),
    "segformer": image("Segformer", **FOUR),
    "siglip": image("Siglip", vision_config=TOWER),
    "swiftformer": image("ViT", embed_dims=[8, 16, 16, 24], depths=[1, 1, 1, 1]),
    "swin": image("ViT", **WINDOWS),
    "swinv2": image("ViT", **WINDOWS),
    "textnet": image("TextNet", hidden_sizes=[8, 8, 16, 24, 32], stem_out_channels=8),
    "vit": image("ViT"),
    "vit_msn": image("ViT"),
}  # fmt: skip
"""By `model_type`."""


def described(folder: Path) -> Mapping[str, Any]:
    """The config that was saved."""
    found: Mapping[str, Any] = json.loads((folder / "model" / "config.json").read_text())
    return found
