"""Sound and moving pictures, inside the sandbox: every packet is decoded, and what was found is counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition, Stream

from datasets import limits
from datasets.refused import Refused

# Our word for a container -> FFmpeg's reader. Playlists and readers of links are not among them.
READERS = {
    "wav": "wav", "flac": "flac", "mp3": "mp3", "ogg": "ogg", "mp4": "mov", "matroska": "matroska", "avi": "avi",
}  # fmt: skip
SOUND_TYPES = {
    "wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg", "ogg": "audio/ogg", "mp4": "audio/mp4",
    "matroska": "audio/webm",
}  # fmt: skip
# Containers whose header says how long they play, so that a missing end is noticed.
SAYS_LENGTH = {"wav", "flac", "mp4", "matroska", "avi"}
EDGE_PACKETS = 3  # of an MP3 may be cut by whoever cut the file


def look(path: Path, format: str) -> dict[str, Any]:
    """What a recording or a video holds. Refused when it can't be decoded to its end."""
    av.logging.set_level(av.logging.PANIC)
    with open(path, "rb") as file:
        try:
            with av.open(file, format=READERS[format], options={"enable_drefs": "0"}) as container:
                return _look(container, format, path)
        except av.FFmpegError as error:
            raise _broken(format) from error
        except (ValueError, OverflowError, LookupError) as error:
            raise _broken(format) from error


def look_at_sound(path: Path, format: str) -> dict[str, Any]:
    found = look(path, format)
    if found["media_type"].startswith("video/"):
        raise Refused("not_audio", "It is a video: it has a track of pictures. Add it to a dataset of videos.")
    return found


def look_at_video(path: Path, format: str) -> dict[str, Any]:
    found = look(path, format)
    if found["media_type"].startswith("audio/"):
        raise Refused("not_a_video", "It has sound but no pictures. Add it to a dataset of recordings.")
    return found


@dataclass
class _Count:
    """What was decoded of one track."""

    frames: int = 0
    samples: int = 0
    end: float = 0.0  # seconds, of the last picture that was shown
    faults: int = 0
    packets: int = 0


def _look(container: InputContainer, format: str, path: Path) -> dict[str, Any]:
    pictures = next((track for track in container.streams.video if not _is_cover(track)), None)
    sound = next(iter(container.streams.audio), None)
    main = pictures or sound
    if main is None:
        raise Refused("no_track", "It holds neither sound nor pictures that can be read.")
    if (promised := _promised(container, main)) > limits.MAX_MEDIA_SECONDS:
        raise _too_long()
    if pictures is not None:
        _check_size(pictures)
    count = _decode(container, [track for track in (pictures, sound) if track is not None], main, format)
    found = _sound_facts(sound, count) if pictures is None else _picture_facts(pictures, sound, count)
    if not (count.frames if pictures is not None else count.samples):
        raise Refused("broken_media", "Nothing in it can be decoded: it is damaged, cut off or empty.")
    _check_end(container, main, promised, found["seconds"], count, format)
    return found | {"media_type": _media_type(container, pictures, format, path)}


def _is_cover(track: Stream) -> bool:
    return bool(track.disposition & Disposition.attached_pic)


def _check_size(track: Any) -> None:
    track.codec_context.options = {"max_pixels": str(limits.MAX_FRAME_PIXELS)}
    width, height = track.codec_context.width, track.codec_context.height
    if width * height > limits.MAX_FRAME_PIXELS:
        raise Refused(
            "too_many_pixels",
            f"Its pictures have {width:,} x {height:,} pixels; at most {limits.MAX_FRAME_PIXELS:,} are taken.",
        )
    track.thread_type, track.codec_context.thread_count = "AUTO", 2


def _decode(container: InputContainer, tracks: list[Any], main: Stream, format: str) -> _Count:
    """Decode all packets of the tracks. Refused at the first fault, but for the edges of an MP3."""
    count = _Count()
    rate = 0
    tolerated: list[int] = []
    for packet in container.demux(tracks):
        if packet.stream is main:
            count.packets += 1
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            if isinstance(error, av.error.EOFError):
                continue
            if format != "mp3":
                raise
            tolerated.append(count.packets)
            continue
        for frame in frames:
            if packet.stream is not main:
                continue
            if main.type == "video":
                count.frames += 1
                count.faults += bool(getattr(frame, "is_corrupt", False))
                count.end = max(count.end, frame.time or 0.0)
            else:
                count.samples += frame.samples
                rate = frame.sample_rate or rate
        if count.end > limits.MAX_MEDIA_SECONDS or (rate and count.samples / rate > limits.MAX_MEDIA_SECONDS):
            raise _too_long()
    if any(EDGE_PACKETS < number < count.packets - EDGE_PACKETS for number in tolerated):
        raise _broken(format)
    return count


def _sound_facts(track: Any, count: _Count) -> dict[str, Any]:
    context = track.codec_context
    rate = context.sample_rate
    return {
        "seconds": round(count.samples / rate, 6), "sample_rate": rate, "channels": context.channels,
        "codec": context.name,
    }  # fmt: skip


def _picture_facts(track: Any, sound: Any, count: _Count) -> dict[str, Any]:
    context = track.codec_context
    fps = float(track.average_rate or track.guessed_rate or 0)
    start = float((track.start_time or 0) * track.time_base)
    seconds = max(count.end - start, 0.0) + (1 / fps if fps else 0.0)
    found = {
        "width": context.width, "height": context.height, "seconds": round(seconds, 6), "fps": round(fps, 6),
        "frames": count.frames, "codec": context.name, "has_audio": sound is not None,
    }  # fmt: skip
    if sound is not None:
        found |= {"sample_rate": sound.codec_context.sample_rate, "channels": sound.codec_context.channels}
    return found


def _promised(container: InputContainer, track: Any) -> float:
    """Seconds that the header says; 0 when it says nothing."""
    if track.duration and track.time_base:
        return float(track.duration * track.time_base)
    return (container.duration or 0) / av.time_base


def _length(seconds: float) -> str:
    """Seconds in words that tell two short lengths apart."""
    return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:.1f} s"


def _check_end(
    container: InputContainer, track: Any, promised: float, seconds: float, count: _Count, format: str
) -> None:
    """Refused when much less came than the header says, or pictures were patched up."""
    missing = format in SAYS_LENGTH and promised - seconds > max(0.25, 0.02 * promised)
    fewer = track.frames and track.type == "video" and count.frames < 0.98 * track.frames - 1
    if container.size < (said := _said_bytes(container, format)):
        raise Refused("cut_off", f"It is cut off: it says {said:,} bytes, and {container.size:,} of them are there.")
    if missing or fewer:
        raise Refused("cut_off", f"It is cut off: it says {_length(promised)}, and {_length(seconds)} of it are there.")
    if count.faults > max(2, 0.02 * count.frames):
        raise _broken(format)


def _said_bytes(container: InputContainer, format: str) -> int:
    """Bytes that a WAV file says to have; FFmpeg takes one that is cut off for a shorter one."""
    if format != "wav":
        return 0
    file = container.file.file if hasattr(container.file, "file") else container.file
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or (said := int.from_bytes(head[4:8], "little")) in {0, 0xFFFFFFFF}:
        return 0
    while len(chunk := file.read(8)) == 8:
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            return 0 if size in {0, 0xFFFFFFFF} else file.tell() + size
        file.seek(size + size % 2, 1)
    return said


def _media_type(container: InputContainer, pictures: Any, format: str, path: Path) -> str:
    if pictures is None:
        return SOUND_TYPES.get(format, "audio/x-other")
    with open(path, "rb") as file:
        head = file.read(4096)
    if format == "mp4":
        return "video/quicktime" if head[8:12] == b"qt  " or head[4:8] != b"ftyp" else "video/mp4"
    if format == "matroska":
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    return {"avi": "video/x-msvideo", "ogg": "video/ogg"}.get(format, "video/mp4")


def _too_long() -> Refused:
    return Refused("too_long", f"It plays longer than {limits.MAX_MEDIA_SECONDS / 3600:.3g} hours.")


def _broken(format: str) -> Refused:
    return Refused("broken_media", "It can't be decoded to its end: it is damaged or cut off.")
