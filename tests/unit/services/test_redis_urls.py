"""Where Redis is: one server, or the nodes of a cluster."""

import pytest

from services.redis_urls import Address, read_cluster_url
from services.settings_loading import WrongSettings, load_settings


def test_a_cluster_has_nodes_and_each_is_reached_as_the_first() -> None:
    found = read_cluster_url("rediss+cluster://ada:s%40cret@10.0.0.1:7000,node-2,[::1]:7001/0?ssl_check_hostname=false")
    assert found is not None
    assert found.seeds == (Address("10.0.0.1", 7000), Address("node-2", 6379), Address("::1", 7001))
    assert found.node_url == "rediss://ada:s%40cret@10.0.0.1:7000/0?ssl_check_hostname=false"
    assert [str(seed) for seed in found.seeds] == ["10.0.0.1:7000", "node-2:6379", "[::1]:7001"]


@pytest.mark.parametrize("url", ["redis://10.0.0.1:6379/3", "rediss://a", "unix:///run/redis.sock"])
def test_one_server_is_no_cluster(url: str) -> None:
    assert read_cluster_url(url) is None


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis+cluster://10.0.0.1:6379/3", "database 0 only"),
        ("redis+cluster://", "is no host:port"),
        ("redis+cluster://10.0.0.1:6379,,10.0.0.2", "is no host:port"),
        ("redis+cluster://10.0.0.1:many", "'10.0.0.1:many' is no host:port"),
    ],
)
def test_what_cannot_be_a_cluster_is_said_with_the_setting_and_the_remedy(url: str, sentence: str) -> None:
    with pytest.raises(WrongSettings, match=rf"TIDEMARK_REDIS__URL: .*{sentence}"):
        load_settings({"redis": {"url": url}})
