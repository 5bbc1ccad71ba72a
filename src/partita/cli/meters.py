"""A measurement in words, for people."""

from __future__ import annotations

from partita.measure.report import Report


def meter_lines(report: Report) -> list[str]:
    """A measurement in words."""
    levels, faults, tempo, key = report.loudness, report.defects, report.tempo, report.key
    lines = [f"length      {report.duration_s:.2f} s, {report.sample_rate_hz} Hz, {report.channels} channels"]
    if levels.integrated_lufs is None or levels.true_peak_dbtp is None:
        lines.append("loudness    silence")
    else:
        lines.append(f"loudness    {levels.integrated_lufs:.1f} LUFS, true peak {levels.true_peak_dbtp:.1f} dBTP")
    steady = "" if tempo.beat_deviation is None else f", beats within {100 * tempo.beat_deviation:.1f} %"
    lines.append("tempo       no pulse" if tempo.bpm is None else f"tempo       {tempo.bpm:.1f} BPM{steady}")
    lines.append("key         none" if key.name is None else f"key         {key.name} (or {key.runner_up})")
    if faults.bandwidth is not None:
        lines.append(f"bandwidth   up to {faults.bandwidth.upper_limit_hz / 1000:.1f} kHz")
    return lines + [f"fault       {fault}" for fault in _faults(report)]


def _faults(report: Report) -> list[str]:
    faults = report.defects
    named = {
        "clipped stretches": faults.clipped_runs,
        "drop-outs": len(faults.dropouts),
        "samples that are no number": faults.nan_samples,
        "infinite samples": faults.infinite_samples,
    }
    found = [f"{count} {name}" for name, count in named.items() if count]
    if faults.longest_silence_s > 1:
        found.append(f"{faults.longest_silence_s:.1f} s of silence from {faults.longest_silence_at_s:.1f} s on")
    return found
