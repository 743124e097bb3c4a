"""The floor: aiohttp and nothing else. No retries, nothing kept on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp

from benchmarks.llm.tools.harness import API_KEY, Account, Job, Question, measure


def work(job: Job) -> list[str | None]:
    """The answers, in the order they arrived."""
    return asyncio.run(_ask_all(job))


async def _ask_all(job: Job) -> list[str | None]:
    waiting, answers = iter(job.questions), []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {API_KEY}"}) as session:
        url = f"{job.base_url}/chat/completions"
        async with asyncio.TaskGroup() as group:
            for _ in range(job.parallel):
                group.create_task(_ask_next(session, url, waiting, answers))
    return answers


async def _ask_next(
    session: aiohttp.ClientSession, url: str, waiting: Iterator[Question], answers: list[str | None]
) -> None:
    for question in waiting:
        messages = [
            {"role": "system", "content": question.system},
            {"role": "user", "content": question.user},
        ]
        async with session.post(url, json={"model": "mock", "messages": messages, "max_tokens": 128}) as response:
            body = await response.json()
            answers.append(body["choices"][0]["message"]["content"] if response.ok else None)


def account(_: Job, made: list[str | None]) -> Account:
    """Rows with an answer; it records no tokens."""
    return Account(sum(answer is not None for answer in made), None)


if __name__ == "__main__":
    measure(work, account)
