"""Pictures of what is in quarantine, for the eyes of the hospital that took them."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from protocol.errors import InvalidInput, Unclean
from protocol.imaging import deidentify, frames, instances


def png(content: bytes, frame: int = 0) -> bytes:
    """A frame of a DICOM file as PNG, at its own size. Raises Unclean when it cannot be shown, and InvalidInput when
    there are fewer frames."""
    with instances.in_silence():
        dataset = instances.read(content)
        count = int(dataset.get("NumberOfFrames") or 1)
        if not 0 <= frame < count:
            raise InvalidInput(f"It has {count} frames: there is no frame {frame}.", "The first is 0.")
        try:
            picture = frames.shown(dataset, frame)
        except Exception as error:  # noqa: BLE001 - decoders raise whatever they like for damaged streams
            raise Unclean(f"Its pixels cannot be shown ({type(error).__name__}).") from None
    out = BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def model_without_regions(content: bytes) -> deidentify.Model | None:
    """As `deidentify.model_without_regions`, of a DICOM file. Raises Unclean."""
    with instances.in_silence():
        return deidentify.model_without_regions(instances.read(content))
