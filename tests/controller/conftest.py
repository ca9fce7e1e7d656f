from collections.abc import Iterator

import httpx
import pytest

from api_desk import TOKEN, Desk, door


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def api(desk: Desk) -> Iterator[httpx.Client]:
    served = door(desk)
    with httpx.Client(
        base_url=f"http://127.0.0.1:{served.port}",
        headers={"authorization": f"Bearer {TOKEN}"},
        trust_env=False,
    ) as client:
        yield client
    served.close()
