import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrhel.errors import ProgramError
from labrhel.wire.frames import HEADER_BYTES, LONGEST, Decoder, Frame, encode

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=80))


def decode(data: bytes) -> list[Frame]:
    return Decoder().feed(data)


def test_the_layout_is_the_documented_one() -> None:
    data = encode(Frame(kind=7, sequence=0x1234, payload=b"abc"))
    head = b"\x01\x07\x34\x12\x03\x00\x00\x00"
    check = (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    assert data == b"\xa5\x5a" + head + check + b"abc" + zlib.crc32(head + check + b"abc").to_bytes(4, "little")


@given(st.lists(frames, max_size=5), st.integers(1, 50))
def test_frames_come_back_in_order_whatever_the_pieces(sent: list[Frame], piece: int) -> None:
    stream = b"".join(map(encode, sent))
    decoder = Decoder()
    got = [frame for at in range(0, len(stream), piece) for frame in decoder.feed(stream[at : at + piece])]
    assert got == sent
    assert (decoder.damaged_bytes, decoder.damaged_frames, decoder.pending) == (0, 0, 0)


@given(frames, st.data())
def test_a_changed_bit_never_gives_a_frame_and_the_next_one_is_found(frame: Frame, data: st.DataObject) -> None:
    stream = bytearray(encode(frame))
    bit = data.draw(st.integers(0, 8 * len(stream) - 1))
    stream[bit // 8] ^= 1 << bit % 8
    after = [Frame(1, number, b"after") for number in range(5)]
    decoder = Decoder()
    assert decoder.feed(bytes(stream) + b"".join(map(encode, after))) == after
    assert decoder.damaged_bytes == len(stream)


@given(frames, st.data())
def test_a_truncated_frame_is_skipped_and_the_next_one_is_found(frame: Frame, data: st.DataObject) -> None:
    whole = encode(frame)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    after = [Frame(2, number, b"") for number in range(len(whole))]
    decoder = Decoder()
    assert decoder.feed(cut + b"".join(map(encode, after))) == after
    assert decoder.damaged_bytes == len(cut)


@given(st.lists(st.one_of(frames.map(encode), st.binary(max_size=40), st.just(b"\xa5"), st.just(b"\xa5\x5a"))))
def test_every_byte_is_in_a_frame_or_damaged_or_pending(pieces: list[bytes]) -> None:
    decoder, held = Decoder(), 0
    for piece in pieces:
        held += sum(len(encode(frame)) for frame in decoder.feed(piece))
    assert held + decoder.damaged_bytes + decoder.pending == sum(map(len, pieces))
    decoder.reset()
    assert held + decoder.damaged_bytes == sum(map(len, pieces))
    assert decoder.feed(encode(Frame(3, 4))) == [Frame(3, 4)]


def test_a_damaged_length_is_refused_without_waiting_for_the_bytes_it_promises() -> None:
    stream = bytearray(encode(Frame(1, 1, b"x" * 10)))
    stream[8] ^= 0x04  # 256 kB more
    assert decode(bytes(stream) + encode(Frame(1, 2))) == [Frame(1, 2)]


def test_a_wrong_crc_counts_as_one_damaged_frame() -> None:
    stream = bytearray(encode(Frame(1, 1, b"payload")))
    stream[HEADER_BYTES] ^= 1
    decoder = Decoder()
    assert decoder.feed(bytes(stream)) == []
    assert decoder.damaged_frames == 1


def test_a_payload_may_hold_whole_frames() -> None:
    outer = Frame(9, 9, encode(Frame(1, 1, b"inner")) * 3)
    assert decode(encode(outer)) == [outer]


def test_another_version_is_remembered_and_its_frame_is_not_returned() -> None:
    head = b"\x02\x07\x34\x12\x00\x00\x00\x00"
    check = (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    decoder = Decoder()
    assert decoder.feed(b"\xa5\x5a" + head + check + zlib.crc32(head + check).to_bytes(4, "little")) == []
    assert decoder.foreign_version == 2


@pytest.mark.parametrize(("kind", "sequence", "size"), [(256, 0, 0), (-1, 0, 0), (0, 65536, 0), (0, 0, LONGEST + 1)])
def test_what_has_no_frame_is_refused_with_the_limits(kind: int, sequence: int, size: int) -> None:
    with pytest.raises(ProgramError, match="send several frames"):
        Frame(kind, sequence, bytes(size))
