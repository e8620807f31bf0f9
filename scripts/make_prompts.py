"""Speak media/prompts/texts.toml into WAV files beside it, with Debian's espeak-ng.

    python scripts/make_prompts.py [--into DIRECTORY] [NAME ...]        (NAME: as "en/digits/7")

The same texts give the same files. Without names, files whose text is gone are removed.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from sound import read_wav, set_level, to_telephone, trim, write_wav

PROMPTS = Path(__file__).resolve().parents[1] / "media" / "prompts"
SPEECH_DBFS = -20.0


def speak(text: str, voice: str, words_per_minute: int, path: Path) -> None:
    """Write `text`, spoken, to the WAV file `path`."""
    with tempfile.TemporaryDirectory() as directory:
        raw = Path(directory) / "raw.wav"
        command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "-w", str(raw), text]
        subprocess.run(command, check=True, timeout=60)
        sound, rate = read_wav(raw)
    write_wav(path, set_level(trim(to_telephone(sound, rate)), SPEECH_DBFS))


def main() -> int:
    """Make the prompts that were asked for, or all."""
    parser = argparse.ArgumentParser(description="Make the spoken prompts.")
    parser.add_argument("--into", type=Path, default=PROMPTS, metavar="DIRECTORY")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()

    table = tomllib.loads((PROMPTS / "texts.toml").read_text(encoding="utf-8"))
    known = {f"{lang}/{name}": (lang, text) for lang, part in table.items() for name, text in part["texts"].items()}
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        print(f"make_prompts: texts.toml has no {', '.join(unknown)}", file=sys.stderr)
        return 2
    for name in arguments.names or known:
        lang, text = known[name]
        voice, speed = table[lang]["voice"], table[lang]["words_per_minute"]
        speak(text, voice, speed, arguments.into / f"{name}.wav")
    if not arguments.names:
        for lang in table:
            for path in (arguments.into / lang).rglob("*.wav"):
                if path.relative_to(arguments.into).with_suffix("").as_posix() not in known:
                    path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
