#!/usr/bin/env python3
"""Makes the clips of the built-in whisper: python3 make.py (needs espeak-ng; Debian: apt-get install espeak-ng).

Each clip is raw G.711 mu-law, 8000 Hz, mono. The words are those of CLIPS; the speech is synthesised here and under no
licence but this project's own.
"""

import array
import math
import subprocess
import sys
import wave
from io import BytesIO
from pathlib import Path

CLIPS = {
    "caller": "A caller is",
    "very": "very",
    "extremely": "extremely",
    "upset": "upset and needs your help.",
    "press": "Press",
    "accept": "to take the call,",
    "decline": "to decline.",
    "0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven",
    "8": "eight", "9": "nine", "star": "star", "hash": "hash",
}  # fmt: skip
SPEED = {1: "220"}  # words a minute, by the number of words: one alone is spoken slowly
RATE = 8000
QUIET = 600  # of 32767: what is cut off at both ends


def speech(text):
    """Samples at 8000 Hz, loud, without silence around them."""
    spoken = subprocess.run(["espeak-ng", "-v", "en-us", "-s", SPEED.get(len(text.split()), "212"), "--stdout", text], check=True, capture_output=True)
    # espeak-ng writes a header that promises more than comes through a pipe.
    data = spoken.stdout[44:]
    with wave.open(BytesIO(spoken.stdout)) as header:
        rate = header.getframerate()
    samples = array.array("h", data[: len(data) // 2 * 2])
    samples = resampled(samples, rate)
    loud = [n for n, s in enumerate(samples) if abs(s) > QUIET]
    samples = samples[max(0, loud[0] - 40) : loud[-1] + 80]
    gain = 22000 / max(abs(s) for s in samples)
    return [s * gain for s in samples]


def resampled(samples, rate, half=24, cutoff=3400):
    """Windowed-sinc low-pass and resampling."""
    out = []
    for n in range(len(samples) * RATE // rate):
        at = n * rate / RATE
        total = 0.0
        for k in range(max(0, int(at) - half), min(len(samples), int(at) + half + 1)):
            x = (k - at) * 2 * cutoff / rate
            sinc = math.sin(math.pi * x) / (math.pi * x) if x else 1.0
            window = 0.5 + 0.5 * math.cos(math.pi * (k - at) / (half + 1))
            total += samples[k] * sinc * window
        out.append(total * 2 * cutoff / rate)
    return out


def mu_law(sample):
    """ITU-T G.711."""
    magnitude = min(int(abs(sample)), 32635) + 132
    exponent = magnitude.bit_length() - 8
    code = exponent << 4 | (magnitude >> (exponent + 3) & 0x0F)
    return ~(code | (0x80 if sample < 0 else 0)) & 0xFF


def main():
    folder = Path(__file__).parent
    total = 0
    for name, text in CLIPS.items():
        clip = bytes(mu_law(s) for s in speech(text))
        (folder / f"{name}.ulaw").write_bytes(clip)
        total += len(clip)
        print(f"{name}: {len(clip) / RATE:.2f} s")
    print(f"{total} bytes", file=sys.stderr)


main()
