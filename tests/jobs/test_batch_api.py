from tests.jobs.batch_server import Behaviour, BatchServer
import pytest

@pytest.mark.parametrize("anthropic", [False, True])
def test_first(make_session, texts, anthropic, events):
    with BatchServer([Behaviour(order="reversed")]) as server:
        s = make_session(server, anthropic=anthropic)
        frame = s.map(texts, "Echo {text}", batch_api=True)
        print(frame.to_string()); print(events)
        print(s.usage().T.to_string())
    assert 0
