"""What is published of an encoder: the encoder as our own file, its card, and the records of its evaluations."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flsl.checkpoint import LoadedEncoder, save_encoder
from flsl.runtime.errors import UserError
from flsl.runtime.files import list_files, read_file, write_text
from flsl.runtime.text import printable

LARGEST = 64 << 20  # bytes of a record


def write_hub_folder(
    loaded: LoadedEncoder, out: Path, repository: str, records: list[dict[str, Any]], license: str | None = None
) -> list[Path]:
    """Write `encoder.safetensors`, `README.md` (the card) and `records/*.json` into `out`; returns the files.

    Args:
        loaded: the encoder.
        out: folder; files of these names in it are replaced.
        repository: `org/name`, which the card says how to load.
        records: of this encoder, as `read_records` returns them.
        license: its identifier on the Hub, such as `apache-2.0`.
    """
    encoder = out / "encoder.safetensors"
    save_encoder(loaded.encoder, encoder, method=loaded.method, name=loaded.name, pretraining=loaded.pretraining)
    files = [encoder, write_text(out / "README.md", write_card(loaded, repository, records, license))]
    for number, record in enumerate(records):
        name = re.sub(r"[^\w.@+-]+", "-", f"{record['protocol']}-{record['dataset']['name']}-{number}")
        files.append(write_text(out / "records" / f"{name[:120]}.json", json.dumps(record, indent=2) + "\n"))
    return files


def read_records(folder: Path, fingerprint: str) -> tuple[list[dict[str, Any]], int]:
    """Return the complete records of one encoder below a folder, and how many others there are.

    Raises:
        UserError: a file that is no record, or none of this encoder.
    """
    kept, others = [], 0
    for path in list_files(folder, (".json",)):
        if not path.name.startswith("record"):
            continue
        try:
            record = json.loads(read_file(path, LARGEST))
            own = record["model"]["fingerprint"] == fingerprint and record["status"] == "complete"
            record["protocol"], record["dataset"]["name"], record["metrics"][record["headline"]]["value"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} is no record ({type(error).__name__}: {error}): see python -m results validate"
            ) from error
        if own:
            kept.append(record)
        others += not own
    if not kept:
        raise UserError(
            f"--records {folder} holds no complete record of this encoder (fingerprint {fingerprint[:12]}), but {others} others. "
            "Evaluate this checkpoint first, or leave --records out."
        )
    return kept, others


def write_card(loaded: LoadedEncoder, repository: str, records: Iterable[dict[str, Any]], license: str | None) -> str:
    """Return the text of a model card: what the Hub indexes, what the encoder is, how to use it, and what it scores."""
    from huggingface_hub import EvalResult, ModelCardData

    config, fields, task = loaded.encoder.config, loaded.model_fields(), "image-feature-extraction"
    scores = [
        EvalResult(
            task_type=task,
            dataset_type=record["benchmark"],
            dataset_name=record["dataset"]["name"],
            metric_type=record["headline"],
            metric_value=record["metrics"][record["headline"]]["value"],
        )
        for record in records
    ]
    data = ModelCardData(
        license=license,
        library_name="flsl",
        pipeline_tag=task,
        tags=["self-supervised learning", "vision transformer", loaded.method],
        model_name=loaded.name,
        eval_results=scores or None,
    )
    facts = {
        "method": loaded.method,
        "network": f"{config.name}: width {config.embed_dim}, {config.depth} blocks, {config.num_heads} heads",
        "parameters": f"{fields['parameters']:,}",
        "images": f"any size in multiples of {config.patch_size} pixels; mean {config.image_mean}, std {config.image_std}",
        "origin": ", ".join(
            f"{key} {value}" for key, value in loaded.pretraining.items() if not isinstance(value, dict)
        ),
        "fingerprint": f"`{loaded.fingerprint}`",
    }
    lines = ["---", data.to_yaml(), "---", f"# {_cell(loaded.name)}", "", "| what | value |", "| --- | --- |"]
    lines += [f"| {key} | {_cell(value)} |" for key, value in facts.items()]
    lines += [
        "",
        "```bash",
        f"flsl models hf:{repository} --download",
        f"flsl eval davis --checkpoint hf:{repository} --data davis --out runs/davis",
        "```",
        "",
        "```python",
        "from flsl import load_encoder",
        "",
        f'encoder = load_encoder("hf:{repository}").encoder  # (B, 3, H, W) -> patch tokens (B, N, {config.embed_dim})',
        "```",
        "",
    ]
    if scores:
        lines += [
            "| benchmark | protocol | data | metric | value | interval |",
            "| --- | --- | --- | --- | ---: | --- |",
        ]
        lines += [f"| {' | '.join(map(_cell, _row(record)))} |" for record in records]
        lines += ["", "Each row is a file in `records/`, which says how it was made.", ""]
    return "\n".join(lines)


def _row(record: dict[str, Any]) -> list[str]:
    metric = record["metrics"][record["headline"]]
    interval = metric.get("interval") or {}
    known = interval.get("low") is not None and interval.get("low") != interval.get("high")
    between = f"{interval['low']:.1f} to {interval['high']:.1f} ({interval.get('unit', '')})" if known else ""
    value = "" if metric["value"] is None else f"{metric['value']:.1f}"
    return [record["benchmark"], record["protocol"], record["dataset"]["name"], record["headline"], value, between]


def _cell(text: object) -> str:
    """Return text as a cell of a Markdown table."""
    return printable(text).replace("|", "\\|")
