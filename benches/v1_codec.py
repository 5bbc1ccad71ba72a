"""How fast the codec of ACE-Step v1 decodes here, at the published size, and how much memory that takes.

    python benches/v1_codec.py --checkpoint-dir DIR [--seconds 30] [--runs 3] [--dtype bfloat16] [--only PART ...]

Parts: `dcae` sets the folded mel decoder against diffusers' AutoencoderDC, `vocoder` the folded vocoder against the
plain one with its weight norm folded, `formats` float32 against bfloat16, `song` streams a song (and encodes it, with
--encode) and tells pieces, peak memory and the difference of pieces and stretches from the whole. What is compared runs
in turn, so that a slow minute of the machine hits both; times are the least of all runs. On a machine that does other
work, `--threads 1 --clock cpu` counts the processor time of this process instead of the wall's. Weights may be random.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from safetensors.torch import load_file
from torch import Tensor

from compare_vae import peak_memory
from partita.models.acestepv1.codec import FRAME_SAMPLES, MusicCodec, denormalise, first_sample, unscale
from partita.models.acestepv1.dcae import Dcae, DcaeConfig
from partita.models.acestepv1.dcae_folded import FoldedDcae
from partita.models.acestepv1.vocoder import Vocoder, VocoderConfig
from partita.models.acestepv1.vocoder_folded import FoldedVocoder
from partita.models.oobleck import WeightNormConv1d, WeightNormConvTranspose1d

PARTS = ("dcae", "vocoder", "formats", "song")
WEIGHTS = "diffusion_pytorch_model.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint-dir", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves torch's choice")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--encode", action="store_true", help="with song: encode what was decoded as well")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    bench = Bench(args.checkpoint_dir, args.seconds, args.runs, getattr(torch, args.dtype), args.clock)
    print(
        f"{args.seconds:g} s, {args.dtype}, {torch.get_num_threads()} threads, {args.clock} clock, "
        f"torch {torch.__version__}"
    )
    with torch.no_grad():
        for part in args.only:
            if part == "song":
                bench.song(args.encode)
            else:
                {"dcae": bench.dcae, "vocoder": bench.vocoder, "formats": bench.formats}[part]()


class Bench:
    def __init__(self, folder: Path, seconds: float, runs: int, dtype: torch.dtype, clock: str) -> None:
        self.folder, self.seconds, self.runs, self.dtype = folder, seconds, runs, dtype
        self.clock = time.process_time if clock == "cpu" else time.perf_counter
        self.latents = torch.randn(8, 16, int(seconds * 44100 / 512 / 8), generator=torch.Generator().manual_seed(0))

    def dcae(self) -> None:
        """Latents to mels."""
        from diffusers.models.autoencoders.autoencoder_dc import AutoencoderDC

        folder = self.folder / "music_dcae_f8c8"
        config = json.loads((folder / "config.json").read_text())
        theirs = AutoencoderDC(**{name: value for name, value in config.items() if not name.startswith("_")})
        theirs.load_state_dict(load_file(folder / WEIGHTS))
        theirs = torch.nn.Module.to(theirs, self.dtype).eval().requires_grad_(False)
        ours = FoldedDcae(self.load_dcae(), dtype=self.dtype)
        given = unscale(self.latents)[None]
        if self.dtype != torch.float32:
            short = given[..., :64]
            exact = FoldedDcae(self.load_dcae(), dtype=torch.float32).decode(short)
            off = rms(ours.decode(short) - exact), rms(theirs.decoder(short.to(self.dtype)).float() - exact)
            print(f"rms from float32: ours {off[0]:.2e}, diffusers {off[1]:.2e}")
        self.compare(
            "mel decoder", lambda: ours.decode(given), "diffusers", lambda: theirs.decoder(given.to(self.dtype))
        )

    def vocoder(self) -> None:
        """Log mels of one channel to audio. The plain one gets its weight norm folded too, as the original does."""
        plain = self.load_vocoder()
        ours = FoldedVocoder(plain, dtype=self.dtype)
        fold_weight_norm(plain, self.dtype)
        plain = plain.to(self.dtype)
        mel = denormalise(torch.randn(1, 128, self.latents.shape[2] * 8).clamp_(-2, 2) / 2)
        self.compare(
            "vocoder, one channel", lambda: ours.decode(mel), "plain", lambda: plain.decode(mel.to(self.dtype))
        )

    def formats(self) -> None:
        """The whole codec in bfloat16 and in float32, on a third of the length."""
        latents = self.latents[..., : max(1, self.latents.shape[2] // 3)]
        short, full = self.load(torch.bfloat16), self.load(torch.float32)
        self.compare(
            f"{latents.shape[2] * FRAME_SAMPLES / 44100:.1f} s in bfloat16",
            lambda: short.decode(latents).T,
            "in float32",
            lambda: full.decode(latents).T,
        )
        mel, exact = short.mel_of(latents), full.mel_of(latents)
        print(f"  log mels: bfloat16 is {rms(mel - exact):.4f} rms from float32, of {rms(exact - exact.mean()):.3f}")

    def song(self, encode: bool) -> None:
        codec = self.load(self.dtype)
        with peak_memory() as peak:
            start = self.clock()
            times, pieces = [], []
            for piece in codec.decode_chunks(self.latents):
                times.append(self.clock() - start)
                pieces.append(piece)
        total = times[-1]
        audio = torch.cat(pieces)
        print(
            f"song: {total:.2f} s, {self.seconds / total:.2f} times real time; first piece after {times[0]:.2f} s, "
            f"{len(pieces)} pieces; {len(audio)} samples, peak {peak[0] / 2**20:.0f} MiB above "
            f"{peak[1] / 2**20:.0f} MiB resident"
        )
        middle = self.latents.shape[2] // 2
        part = torch.cat(list(codec.decode_chunks(self.latents, middle, middle + 8)))
        expected = audio[first_sample(middle) : first_sample(middle + 8)]
        print(f"  a stretch of 8 frames differs from the song by {difference(part, expected):.2e} of its peak")
        if self.latents.shape[2] <= 400:
            mels = codec.mel_of(self.latents)
            whole = torch.cat([codec.vocoder.decode(channel[None])[0] for channel in mels])
            apart = torch.cat(list(codec.decode_chunks(self.latents, sample_rate_hz=44_100)))
            print(f"  pieces differ from one pass by {difference(apart, whole.T):.2e} of the peak")
        if encode:
            with peak_memory() as peak:
                start = self.clock()
                codec.encode(audio.T)
                took = self.clock() - start
            print(f"  encoded in {took:.2f} s, {self.seconds / took:.2f} times real time, {peak[0] / 2**20:.0f} MiB")

    def compare(self, what: str, ours: Callable[[], Tensor], name: str, theirs: Callable[[], Tensor]) -> None:
        with peak_memory() as our_peak:
            got = ours().float()
        with peak_memory() as their_peak:
            expected = theirs().float()
        print(
            f"{what}: largest difference {difference(got, expected):.2e} of the peak, "
            f"rms {rms(got - expected):.2e} of {rms(expected):.2e}"
        )
        times: dict[str, list[float]] = {"ours": [], name: []}
        for _ in range(self.runs):
            for label, run in (("ours", ours), (name, theirs)):
                start = self.clock()
                run()
                times[label].append(self.clock() - start)
        for (label, values), peak in zip(times.items(), (our_peak, their_peak), strict=True):
            best = min(values)
            shown = " ".join(f"{value:.2f}" for value in values)
            print(f"  {label}: {best:.2f} s; peak {peak[0] / 2**20:.0f} MiB; runs {shown}")
        print(f"  ratio {min(times[name]) / min(times['ours']):.2f}")

    def load(self, dtype: torch.dtype) -> MusicCodec:
        return MusicCodec(self.load_dcae(), self.load_vocoder(), dtype=dtype)

    def load_dcae(self) -> Dcae:
        with torch.device("meta"):
            dcae = Dcae(DcaeConfig.from_json(self._config("music_dcae_f8c8")))
        dcae.load_state_dict(load_file(self.folder / "music_dcae_f8c8" / WEIGHTS), assign=True)
        return dcae.requires_grad_(False)

    def load_vocoder(self) -> Vocoder:
        with torch.device("meta"):
            vocoder = Vocoder(VocoderConfig.from_json(self._config("music_vocoder")))
        vocoder.load_state_dict(load_file(self.folder / "music_vocoder" / WEIGHTS), assign=True)
        return vocoder.requires_grad_(False)

    def _config(self, part: str) -> dict[str, object]:
        return json.loads((self.folder / part / "config.json").read_text())


def fold_weight_norm(network: torch.nn.Module, dtype: torch.dtype) -> None:
    """Have every weight-normed convolution of `network` multiply with one kernel that is worked out once."""
    for module in network.modules():
        if isinstance(module, WeightNormConv1d | WeightNormConvTranspose1d):
            kernel = module.kernel().to(dtype)
            module.kernel = lambda kernel=kernel: kernel  # pyright: ignore[reportAttributeAccessIssue]


def difference(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).abs().max() / expected.abs().max())


def rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


if __name__ == "__main__":
    print(f"{psutil.cpu_count()} processors, load {psutil.getloadavg()[0]:.1f}")
    main()
