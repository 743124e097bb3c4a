"""What processes say to each other: the frames that it goes in."""

import asyncio
import io

from teams_dagster.llm.child_process import Outbox, read_frame


def _frames(data: bytes) -> list[object]:
    stream = io.BytesIO(data)
    frames = []
    while (frame := read_frame(stream)) is not None:
        frames.append(frame)
    return frames


def test_what_is_said_in_one_pass_of_the_loop_goes_as_one_frame_in_its_order() -> None:
    written = bytearray()

    async def say() -> None:
        outbox = Outbox(written.extend)
        outbox.put(1)
        outbox.put("two")
        await asyncio.sleep(0)
        outbox.put(3)
        await asyncio.sleep(0)

    asyncio.run(say())
    assert _frames(bytes(written)) == [[1, "two"], [3]]


def test_what_was_not_sent_yet_goes_at_a_flush_and_once() -> None:
    written = bytearray()

    async def say() -> None:
        outbox = Outbox(written.extend)
        outbox.put("last")
        outbox.flush()
        await asyncio.sleep(0)

    asyncio.run(say())
    assert _frames(bytes(written)) == [["last"]]
