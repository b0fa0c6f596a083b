import pytest

from cases import make
from client import Client
from server import Server


@pytest.fixture(scope="session")
def server():
    with Server() as running:
        yield running


@pytest.fixture
def redis(server):
    connection = server.connect()
    connection.flushall()
    yield connection
    connection.close()


@pytest.fixture(params=["quick", "full"])
def client(request, redis) -> Client:
    """Once as the library sends its calls, once without the quick parts and always with all."""
    return make(redis, request.param == "quick")
