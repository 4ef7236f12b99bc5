"""What the files of a Hugging Face model say: where its parts lie, its task, its limits. Reads JSON, loads nothing."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fdpipe.artifacts import SourceModel
from fdpipe.errors import ConversionError
from fdpipe.mlmodel import flavour_settings

TRANSFORMERS, SENTENCES = "transformers", "sentence_transformers"
"""The names of MLflow's flavours."""

EMBEDDING = "embedding"
"""The task of a sentence-transformers model, which does not name one."""

TEXT_TASKS = ("text-classification", "token-classification", "fill-mask", "question-answering", "feature-extraction")

IMAGE_TASKS = ("image-classification",)

BY_TOKEN = ("token-classification", "feature-extraction")
"""Tasks that may have an answer for each token; these must be equally many for every text."""

PADDED_TO = 512
"""So many tokens there are for them where the model itself has no limit."""

UNLIMITED = ("t5", "mt5", "umt5", "xlnet", "transfo-xl")
"""Types of models whose positions are relative, whatever number their files have."""

PADDING_FIRST = (
    "roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "data2vec-text", "mpnet", "longformer",
    "luke", "mluke", "xmod", "esm", "ibert", "lilt", "markuplm", "mra", "nystromformer", "yoso",
)  # fmt: skip
"""Types of models whose positions are counted from that of the padding: so many fewer are left for tokens."""

SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""What the libraries open rather than a pickle; a file of another name they do not see."""

LARGEST_FILE = 2**27
"""In bytes, of what is read as JSON: tokenizers have some tens of millions."""

POSITIONS = ("max_position_embeddings", "n_positions", "max_positions")


def is_processed(model: SourceModel) -> bool:
    """Whether its records are texts or images for a processor of their own, rather than columns or tensors."""
    return takes_text(model) or (model.flavour == TRANSFORMERS and task_of(model) in IMAGE_TASKS)


def takes_text(model: SourceModel) -> bool:
    """Whether its records are texts, which become tokens."""
    return model.flavour == SENTENCES or (model.flavour == TRANSFORMERS and task_of(model) in TEXT_TASKS)


def task_of(model: SourceModel) -> str:
    """The task under transformers' name for its pipeline, as `text-classification`."""
    if model.flavour == SENTENCES:
        return EMBEDDING
    task = str(flavour_settings(model.path, TRANSFORMERS).get("task", ""))
    return {"sentiment-analysis": "text-classification", "ner": "token-classification"}.get(task, task)


def network_folder(model: SourceModel) -> Path:
    """Where the network's `config.json` and its weights lie."""
    if model.flavour == SENTENCES:
        folder = sentences_folder(model)
        return inside(model, folder / str(next(iter(modules_of(model)), {}).get("path", "")))
    settings = flavour_settings(model.path, TRANSFORMERS)
    folder = inside(model, model.path / str(settings.get("model_binary", "pipeline")))
    if not folder.is_dir():
        told = "its weights are elsewhere" if "source_model_revision" in settings else f"it has no folder {folder.name}"
        raise ConversionError(f"{model.ref.name} cannot be read, {told}: log it with save_pretrained=True")
    return folder


def sentences_folder(model: SourceModel) -> Path:
    """The folder that sentence-transformers opens."""
    name = str(flavour_settings(model.path, "python_function").get("data", "model.sentence_transformer"))
    folder = inside(model, model.path / name)
    if not folder.is_dir():
        raise ConversionError(f"{model.ref.name} has no folder {name!r}, which its MLmodel file names")
    return folder


def modules_of(model: SourceModel) -> list[Mapping[str, Any]]:
    """The parts of a sentence-transformers model in their order, each with its `type` and `path`."""
    path = inside(model, sentences_folder(model) / "modules.json")
    found = _read(path)
    if not isinstance(found, list) or not found or not all(isinstance(item, dict) for item in found):
        raise ConversionError(f"{model.ref.name} has no modules.json that names its parts")
    return found


def tokenizer_folder(model: SourceModel) -> Path:
    """Where the tokenizer's files lie."""
    if model.flavour == SENTENCES:
        return network_folder(model)
    beside = inside(model, model.path / "components" / "tokenizer")
    return beside if beside.is_dir() else network_folder(model)


def check_whole(model: SourceModel, folder: Path) -> None:
    """`ConversionError` for a network whose weights are not in this folder, or not all of them."""
    if (folder / "adapter_config.json").exists() or (model.path / "peft").exists():
        raise ConversionError(f"{model.ref.name} is an adapter: merge it (merge_and_unload) and log the whole model")
    for path in sorted(folder.glob("*.index.json")):
        for name in dict.fromkeys((described(model, folder, path.name).get("weight_map") or {}).values()):
            if Path(str(name)).name != name:
                raise ConversionError(f"{path.name} of {model.ref.name} names {name!r}, which is no file beside it")


def described(model: SourceModel, folder: Path, name: str) -> dict[str, Any]:
    """What a JSON file of the folder says; empty where there is none."""
    found = _read(inside(model, folder / name))
    if not isinstance(found, dict):
        raise ConversionError(f"{name} of {model.ref.name} must hold a mapping, got {type(found).__name__}")
    return found


def inside(model: SourceModel, path: Path) -> Path:
    """The path with no links in it; `ConversionError` where it leaves the model's folder."""
    found = path.resolve()
    if not found.is_relative_to(model.path.resolve()):
        raise ConversionError(f"{model.ref.name} names {path.name!r}, which lies outside of its own folder")
    return found


def token_limit(model: SourceModel) -> int:
    """So many tokens, special ones included, go into the network; 0 where there is no limit."""
    own = described(model, network_folder(model), "config.json")
    kind = own.get("model_type")
    found = [] if kind in UNLIMITED else [size for key in POSITIONS if (size := _size(own.get(key)))][:1]
    if kind in PADDING_FIRST:
        found = [size - _whole(own.get("pad_token_id"), 1) - 1 for size in found]
    tokens = _size(described(model, tokenizer_folder(model), "tokenizer_config.json").get("model_max_length"))
    if model.flavour == SENTENCES:
        tokens = _size(sentences_settings(model).get("max_seq_length")) or tokens
    return min([*found, *([tokens] if tokens else [])], default=PADDED_TO if task_of(model) in BY_TOKEN else 0)


def sentences_settings(model: SourceModel) -> dict[str, Any]:
    """What sentence-transformers keeps of its first part: `sentence_bert_config.json`, or the same for another type."""
    folder = network_folder(model)
    names = sorted(path.name for path in folder.glob("sentence_*_config.json"))
    return described(model, folder, names[0]) if names else {}


def prompt_of(model: SourceModel) -> str:
    """What sentence-transformers puts before every text."""
    if model.flavour != SENTENCES:
        return ""
    found = described(model, sentences_folder(model), "config_sentence_transformers.json")
    return str((found.get("prompts") or {}).get(found.get("default_prompt_name")) or "")


def labels_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes' names in the order of their numbers; transformers writes none for its own two."""
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    found = tuple(str(names.get(str(number), f"LABEL_{number}")) for number in range(len(names)))
    if len(set(found)) < len(found):
        raise ConversionError(f"two classes have one name in id2label: {', '.join(found)[:200]}")
    return found


def scoring_of(config: Mapping[str, Any]) -> str:
    """What becomes of a classifier's logits, as in transformers' pipeline: `softmax`, `sigmoid` or `none`."""
    problem = config.get("problem_type")
    if problem == "regression":
        return "none"
    return "sigmoid" if problem == "multi_label_classification" or len(labels_of(config)) == 1 else "softmax"


def code_in(model: SourceModel, folders: Iterator[Path]) -> str | None:
    """What in the folders is code that loading would run: a pickle that is all the weights there are, a class of its own."""
    for folder in dict.fromkeys(folders):
        pickles = sorted(path.name for path in folder.glob("*.bin") if path.name.startswith(("pytorch_model", "adapter_model")))
        if pickles and not any((folder / name).is_file() for name in SAFE_WEIGHTS):
            return f"a pickle ({pickles[0]})"
        for path in sorted(folder.glob("*.json")):
            if path.name.endswith("config.json") and "auto_map" in described(model, folder, path.name):
                return f"classes of its own (auto_map in {path.name})"
    return None


def _read(path: Path) -> Any:  # noqa: ANN401 - JSON
    if not path.is_file():
        return {}
    if (size := path.stat().st_size) > LARGEST_FILE:
        raise ConversionError(f"{path.name} has {size:,} bytes, {LARGEST_FILE:,} are allowed")
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConversionError(f"{path.name} cannot be read: {' '.join(str(error).split())[:200]}") from error


def _size(found: object) -> int:
    """A size that is one: tokenizers without a limit have a number of thirty digits, XLNet has -1."""
    size = _whole(found, 0)
    return size if 0 < size < 2**24 else 0


def _whole(found: object, default: int) -> int:
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    return found if isinstance(found, int) and not isinstance(found, bool) else default
