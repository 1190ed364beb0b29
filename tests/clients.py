"""Served models and clients of them."""

import pytest

LOCAL = "http://127.0.0.1:8000"


@pytest.fixture(scope="session")
def served(exported):
    """An export in stages, opened to be served."""
    from fairexit.serving.served import open_served

    return open_served(exported["staged"].path, threads=1)


@pytest.fixture
def client_of():
    """Opens a client of an application that serves a model."""
    from fastapi.testclient import TestClient

    from fairexit.serving.app import create_app

    opened = []

    def open_client(served, **options):
        client = TestClient(create_app(served, **options), base_url=LOCAL)
        opened.append(client)
        return client.__enter__()

    yield open_client
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(client_of, served):
    return client_of(served)
