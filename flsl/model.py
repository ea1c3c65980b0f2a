"""The student-teacher model: one FLSL step from views to losses (docs/method.md, "Mean-shift" and "Losses")."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import nn

from flsl.across_ranks import mean_over_ranks
from flsl.architecture import EncoderConfig
from flsl.encoder import Encoder
from flsl.head import Head
from flsl.losses import gradient_of_a_part, inter_view_loss, intra_view_loss, mean_assignment, volume_loss
from flsl.mean_shift import Scalar, attention, mean_shift, mix_attention, sharpened_attention
from flsl.multi_crop import encode_views
from flsl.objective import HeadConfig, Loss, Stage, Temperature
from flsl.places import tokens_at


@dataclass(frozen=True)
class StepValues:
    """The scheduled values of one step; `mixture` weighs the teacher's own attention against the constraint's."""

    scale_sa: Scalar
    scale_ca: Scalar
    tau_teacher: Scalar
    upsilon: Scalar
    mixture: Scalar = 1.0


@dataclass(kw_only=True)
class StepOutput:
    """Losses of a step and what they were computed from. Rows R: views in order, inside a view by image, inside an
    image by token."""

    loss: torch.Tensor
    intra: torch.Tensor
    inter: torch.Tensor
    vmr: torch.Tensor
    queries: torch.Tensor  # (R, D)
    modes: torch.Tensor  # (R, D)
    modes_teacher: torch.Tensor  # (R, D)
    logits_student: torch.Tensor  # (R, K)
    logits_teacher: torch.Tensor  # (R, K)
    p_bar: torch.Tensor  # (K,)
    tokens_teacher: torch.Tensor  # (B, N, D)
    tokens_student: list[torch.Tensor] = field(default_factory=list)  # one (views * B, N, D) a view size

    def losses(self) -> dict[str, torch.Tensor]:
        """Return the loss and its parts, without gradient."""
        return {name: getattr(self, name).detach() for name in ("loss", *FLSL.terms)}

    def health(self) -> dict[str, torch.Tensor]:
        """Return what shows a collapse, scalars without gradient; on every so many steps is often enough."""
        agreement = {"mean_shift_agreement": 1 - self.intra.detach() / 2}  # cosine of query and mode
        return assignment_health(self.p_bar, self.logits_student, self.logits_teacher) | agreement


@torch.no_grad()
def assignment_health(p_bar: torch.Tensor, student: torch.Tensor, teacher: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what shows that assignments collapse: of their mean `(K,)`, and of logits `(R, K)` of both networks."""
    entropy = -(p_bar * p_bar.clamp_min(1e-30).log()).sum()
    return {
        "assignment_entropy": entropy / math.log(len(p_bar)),  # share of the maximum
        "centroids_in_use": torch.zeros_like(p_bar).scatter_(0, student.argmax(-1), 1.0).sum(),
        "teacher_student_agreement": (student.argmax(-1) == teacher.argmax(-1)).float().mean(),
    }


class Network(nn.Module):
    """Encoder and head of the student or the teacher; `norm` is the LayerNorm on modes, where that option is on."""

    def __init__(self, encoder: EncoderConfig, head: HeadConfig, layernorm_on_mode: bool, drop_path: float = 0.0):
        super().__init__()
        self.backbone = Encoder(encoder, drop_path)
        self.norm = nn.LayerNorm(encoder.embed_dim, eps=1e-6) if layernorm_on_mode else nn.Identity()
        self.head = Head(self.backbone.embed_dim, head)


class EarlierStage(nn.Module):
    """Multi-stage training's semantic constraint: the attention of an earlier stage's encoder, which stays as it is."""

    scale: torch.Tensor  # (3, 1, 1)
    shift: torch.Tensor  # (3, 1, 1)

    def __init__(self, encoder: Encoder, stage: Stage):
        """`encoder` has the patch size of the one that is trained."""
        super().__init__()
        self.encoder, self.stage = encoder.requires_grad_(False), stage
        # Views are normalized by ImageNet's constants; the encoder is to see them as in its own pretraining.
        pairs = zip(
            EncoderConfig.image_mean, EncoderConfig.image_std, encoder.config.image_mean, encoder.config.image_std
        )
        scale, shift = zip(*((b / own_b, (a - own_a) / own_b) for a, b, own_a, own_b in pairs))
        self.register_buffer("scale", torch.tensor(scale).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor(shift).view(3, 1, 1), persistent=False)

    @torch.no_grad()
    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Return tokens `(B, N, D)` of un-jittered views at the stage's attention level, without final norm."""
        self.encoder.eval()
        (tokens,) = self.encoder.patch_tokens(
            crops * self.scale + self.shift, [self.stage.attention_level - 1], norm=False
        )
        return at_least_float32(tokens)

    def constraint(self, queries: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the sharpened attention `(B, Q, N)` of queries to the tokens of the teacher's crop."""
        return sharpened_attention(queries, tokens, self.stage.scale, self.stage.sharpness)


class FLSL(nn.Module):
    """Student, teacher and objective. All that needs gradients goes through `forward`, so that data parallelism sees
    it (docs/method.md, "Pitfalls")."""

    terms: ClassVar[tuple[str, ...]] = ("intra", "inter", "vmr")  # the parts of the loss, as `StepOutput` names them
    center: torch.Tensor  # (1, K), subtracted from the teacher's logits with centering
    prior: torch.Tensor | None  # (K,)
    drop: torch.Tensor  # (depth, 1, 1), the share of its branches that stochastic depth leaves out of a block

    def __init__(
        self,
        encoder: EncoderConfig,
        head: HeadConfig | None = None,
        *,
        temperature: Temperature | None = None,
        loss: Loss | None = None,
        drop_path: float = 0.0,
        previous: EarlierStage | None = None,
    ):
        """Build with random weights; the teacher starts equal to the student, gets no gradient, and has no stochastic
        depth.

        Args:
            encoder: of both networks.
            head: of both networks.
            temperature: softmax temperatures; the teacher's is scheduled, so that only the student's is read here.
            loss: weights and options; upsilon is scheduled, so that it is not read here.
            drop_path: stochastic depth of the student's last block.
            previous: switches multi-stage training on.
        """
        super().__init__()
        head, self.temperature = head or HeadConfig(), temperature or Temperature()
        self.objective, self.previous = loss or Loss(), previous
        if self.objective.layernorm_on_mode:  # the last LayerNorm moves from the tokens to the modes
            encoder = replace(encoder, final_norm=False)
        self.student = Network(encoder, head, self.objective.layernorm_on_mode, drop_path)
        self.teacher = Network(encoder, head, self.objective.layernorm_on_mode)
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.register_buffer("center", torch.zeros(1, head.centroids))
        prior = self.objective.prior
        self.register_buffer("prior", torch.tensor(prior) if prior else None, persistent=False)
        self.register_buffer("drop", torch.linspace(0, drop_path, encoder.depth)[:, None, None], persistent=False)

    def forward(
        self,
        views: Sequence[torch.Tensor],
        queries: Sequence[torch.Tensor],
        values: StepValues,
        crops: Sequence[torch.Tensor] = (),
        *,
        paths: Sequence[torch.Tensor] = (),
        shifts: Sequence[torch.Tensor] = (),
        places: Sequence[torch.Tensor] = (),
        p_bar: torch.Tensor | None = None,
    ) -> StepOutput:
        """Compute the losses of one step, or of one of the equal parts of it that gradients are accumulated over.

        Args:
            views: the teacher's view, then the student's, each `(B, 3, s, s)`; views of one size that follow each
                other share a forward pass.
            queries: for each student view `(B, Q)` token indices in raster order.
            values: this step's scheduled values.
            crops: the un-jittered views, needed for multi-stage training only.
            paths: for each student view `(B, depth, 2)` draws in 0..1, which decide stochastic depth; without them the
                blocks draw by themselves.
            shifts: for each view, the teacher's too, `(B, 2)`: how far its positions are moved, if they are.
            places: for each student view `(B, Q, 2)`: where its queries lie in the teacher's view (`flsl.places`), if the
                teacher's mean-shift begins at its own tokens there.
            p_bar: the mean assignment `(K,)` of all parts of the step; without it, this is the whole step.
        """
        with torch.no_grad():
            tokens_teacher = at_least_float32(self.teacher.backbone(views[0], shift=shifts[0] if shifts else None))
            keys_previous = tokens_teacher if self.previous is None else self.previous(crops[0])
        rows: dict[str, list[torch.Tensor]] = {"query": [], "mode": [], "mode_teacher": []}
        tokens_student = []
        for group, tokens, chosen in encode_student(self.student.backbone, self.drop, views, queries, paths, shifts):
            repeats = (len(group), 1, 1)
            with torch.autocast(tokens.device.type, enabled=False):
                query = gather_tokens(tokens, chosen)
                rows["query"].append(query.flatten(0, 1))
                rows["mode"].append(mean_shift(query, tokens, values.scale_sa).flatten(0, 1))
            with torch.no_grad(), torch.autocast(tokens.device.type, enabled=False):
                keys = tokens_teacher.repeat(repeats)
                begin = tokens_at(keys, torch.cat([places[i - 1] for i in group])) if places else query.detach()
                weights = attention(begin, keys, values.scale_ca)
                if self.previous is not None:
                    queries_previous = gather_tokens(self.previous(torch.cat([crops[i] for i in group])), chosen)
                    constraint = self.previous.constraint(queries_previous, keys_previous.repeat(repeats))
                    weights = mix_attention(weights, constraint, values.mixture)
                rows["mode_teacher"].append((weights @ keys).flatten(0, 1))
            tokens_student.append(tokens)
        return self._losses({k: torch.cat(v) for k, v in rows.items()}, values, tokens_teacher, tokens_student, p_bar)

    @torch.no_grad()
    def mean_assignment(
        self,
        views: Sequence[torch.Tensor],
        queries: Sequence[torch.Tensor],
        values: StepValues,
        *,
        paths: Sequence[torch.Tensor] = (),
        shifts: Sequence[torch.Tensor] = (),
    ) -> torch.Tensor:
        """Return the mean assignment `(K,)` of one part of a step on this rank; arguments are those of `forward`."""
        modes = []
        for _, tokens, chosen in encode_student(self.student.backbone, self.drop, views, queries, paths, shifts):
            with torch.autocast(tokens.device.type, enabled=False):
                modes.append(mean_shift(gather_tokens(tokens, chosen), tokens, values.scale_sa).flatten(0, 1))
        logits = at_least_float32(self.student.head(self.student.norm(torch.cat(modes))))
        return torch.softmax(logits / self.temperature.student, dim=-1).mean(0)

    def _losses(
        self,
        rows: dict[str, torch.Tensor],
        values: StepValues,
        tokens_teacher: torch.Tensor,
        tokens_student: list[torch.Tensor],
        whole: torch.Tensor | None,
    ) -> StepOutput:
        """Turn queries and modes `(R, D)` of all views into losses; `whole` is `forward`'s `p_bar`."""
        objective = self.objective
        logits_student = at_least_float32(self.student.head(self.student.norm(rows["mode"])))
        with torch.no_grad():
            logits_teacher = at_least_float32(self.teacher.head(self.teacher.norm(rows["mode_teacher"])))
        with torch.autocast(logits_student.device.type, enabled=False):
            student = logits_student / self.temperature.student
            centered = logits_teacher - self.center if objective.centering else logits_teacher
            intra = intra_view_loss(rows["query"], rows["mode"])
            inter = inter_view_loss(student, centered / values.tau_teacher)
            p_bar = mean_assignment(student) if whole is None else gradient_of_a_part(student, whole)
            vmr = volume_loss(p_bar, self.prior) if objective.volume_maximization else p_bar.new_zeros(())
            loss = values.upsilon * intra + objective.eta * inter + objective.gamma * vmr
        return StepOutput(
            loss=loss,
            intra=intra,
            inter=inter,
            vmr=vmr,
            queries=rows["query"],
            modes=rows["mode"],
            modes_teacher=rows["mode_teacher"],
            logits_student=logits_student,
            logits_teacher=logits_teacher,
            p_bar=p_bar,
            tokens_teacher=tokens_teacher,
            tokens_student=tokens_student,
        )

    @torch.no_grad()
    def update_center(self, logits_teacher: torch.Tensor, keep: torch.Tensor | None = None) -> None:
        """Move the center towards the mean over rows `(R, K)` and ranks; once a step, after use.

        Where the boolean `keep`, on the device and equal on all ranks, is true, the center stays as it is.
        """
        move_center(self.center, logits_teacher, self.objective.center_momentum, keep)


@torch.no_grad()
def move_center(center: torch.Tensor, logits: torch.Tensor, momentum: float, keep: torch.Tensor | None = None) -> None:
    """Move a center `(1, K)` towards the mean over rows `(R, K)` and ranks, unless the boolean `keep` holds it."""
    mean = mean_over_ranks(logits.mean(0, keepdim=True))
    moved = center * momentum + mean * (1 - momentum)
    center.copy_(moved if keep is None else torch.where(keep, center, moved))


def encode_student(
    encoder: Encoder,
    drop: torch.Tensor,
    views: Sequence[torch.Tensor],
    queries: Sequence[torch.Tensor],
    paths: Sequence[torch.Tensor],
    shifts: Sequence[torch.Tensor],
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """Encode all views but the first; `drop` `(depth, 1, 1)` is the share of its branches that stochastic depth leaves out of
    a block, the other arguments are `FLSL.forward`'s.

    Yields, for views of one size that follow each other: their numbers, their tokens `(views * B, N, D)`, and the indices
    of the queries `(views * B, Q)`.
    """
    for group, tokens in encode_views(encoder, drop, views[1:], paths, shifts[1:]):
        yield [i + 1 for i in group], at_least_float32(tokens), torch.cat([queries[i] for i in group])


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, share: Scalar) -> None:
    """EMA over all parameters: the teacher goes `share` (1 - momentum) of the way to the student."""
    ours: list[torch.Tensor] = list(teacher.parameters())
    theirs: list[torch.Tensor] = list(student.parameters())
    if ours[0].device.type == "cpu":
        torch._foreach_lerp_(ours, theirs, [torch.as_tensor(share).to(ours[0])] * len(ours))
        return
    # A GPU has a kernel for many tensors at once where the other factor is one number, on the device too.
    way = torch._foreach_sub(theirs, ours)
    torch._foreach_mul_(way, share)
    torch._foreach_add_(ours, way)


def gather_tokens(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Pick tokens `(B, N, D)` at indices `(B, Q)`; returns `(B, Q, D)`."""
    return tokens.gather(1, places[..., None].expand(-1, -1, tokens.shape[-1]))


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Undo the half precision of mixed-precision layers; wider types stay."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
